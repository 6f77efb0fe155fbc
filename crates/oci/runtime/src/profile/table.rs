//! Docker's default seccomp profile as a table: what is allowed, and under which condition.
//!
//! Equal in effect to the profile of docker's current release (github.com/moby/profiles), arranged by topic. The
//! default for everything else is EPERM.

use std::ops::Range;

use spec::runtime::Capability;

/// Some system calls, when they are meant, and what they get.
pub(super) struct Row {
    pub(super) names: &'static str,
    pub(super) when: When,
    pub(super) answer: Answer,
}

/// Condition of a row.
#[derive(Clone, Copy)]
pub(super) enum When {
    Always,
    /// The container has the capability.
    With(Capability),
    /// It does not.
    Without(Capability),
    /// On one of these architectures, by Go's names.
    On(&'static [&'static str]),
    /// The kernel is at least this.
    Since((u32, u32)),
}

/// What a call gets.
#[derive(Clone, Copy)]
pub(super) enum Answer {
    Allow,
    Errno(u32),
    /// Allowed as long as the first argument has none of these bits.
    AllowWithoutFlags(u64),
}

const ENOSYS: u32 = 38;

/// Every `CLONE_NEW*` but the time namespace, whose bit lies in the exit signal: a container that may not unshare
/// may not clone into new namespaces either. clone3 keeps its flags in memory, where no filter can look; ENOSYS
/// makes the C library fall back to clone.
const NEW_NAMESPACES: u64 = 0x7e02_0000;

const fn always(names: &'static str) -> Row {
    Row { names, when: When::Always, answer: Answer::Allow }
}

const fn with(capability: Capability, names: &'static str) -> Row {
    Row { names, when: When::With(capability), answer: Answer::Allow }
}

const fn on(architectures: &'static [&'static str], names: &'static str) -> Row {
    Row { names, when: When::On(architectures), answer: Answer::Allow }
}

/// The table.
pub(super) const ROWS: &[Row] = &[
    // Sockets.
    always(
        "accept accept4 bind connect getpeername getsockname getsockopt listen \
            recv recvfrom recvmmsg recvmmsg_time64 recvmsg send sendmmsg sendmsg \
            sendto setsockopt shutdown socketcall socketpair",
    ),
    // Processes and threads.
    always(
        "execve execveat exit exit_group fork futex futex_requeue futex_time64 \
            futex_wait futex_waitv futex_wake get_robust_list get_thread_area getcpu \
            getpgid getpgrp getpid getppid getsid gettid kill landlock_add_rule \
            landlock_create_ruleset landlock_restrict_self membarrier pidfd_open \
            pidfd_send_signal prctl process_mrelease restart_syscall rseq seccomp \
            set_robust_list set_thread_area set_tid_address setpgid setsid tgkill \
            tkill umask uretprobe vfork wait4 waitid waitpid",
    ),
    // Identity and limits.
    always(
        "capget capset getegid getegid32 geteuid geteuid32 getgid getgid32 \
            getgroups getgroups32 getpriority getrandom getresgid getresgid32 \
            getresuid getresuid32 getrlimit getrusage getuid getuid32 ioprio_get \
            ioprio_set prlimit64 sched_get_priority_max sched_get_priority_min \
            sched_getaffinity sched_getattr sched_getparam sched_getscheduler \
            sched_rr_get_interval sched_rr_get_interval_time64 sched_setaffinity \
            sched_setattr sched_setparam sched_setscheduler sched_yield setfsgid \
            setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups setgroups32 \
            setpriority setregid setregid32 setresgid setresgid32 setresuid \
            setresuid32 setreuid setreuid32 setrlimit setuid setuid32 sysinfo times \
            ugetrlimit uname",
    ),
    // Signals.
    always(
        "pause rt_sigaction rt_sigpending rt_sigprocmask rt_sigqueueinfo \
            rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_sigtimedwait_time64 \
            rt_tgsigqueueinfo sigaltstack signalfd signalfd4 sigprocmask sigreturn",
    ),
    // Time.
    always(
        "adjtimex alarm clock_adjtime clock_adjtime64 clock_getres \
            clock_getres_time64 clock_gettime clock_gettime64 clock_nanosleep \
            clock_nanosleep_time64 getitimer gettimeofday nanosleep setitimer time \
            timer_create timer_delete timer_getoverrun timer_gettime timer_gettime64 \
            timer_settime timer_settime64 timerfd_create timerfd_gettime \
            timerfd_gettime64 timerfd_settime timerfd_settime64",
    ),
    // Memory.
    always(
        "brk cachestat madvise map_shadow_stack memfd_create memfd_secret mincore \
            mlock mlock2 mlockall mmap mmap2 mprotect mremap mseal msync munlock \
            munlockall munmap pkey_alloc pkey_free pkey_mprotect remap_file_pages \
            riscv_hwprobe",
    ),
    // Shared memory, semaphores, queues.
    always(
        "ipc mq_getsetattr mq_notify mq_open mq_timedreceive \
            mq_timedreceive_time64 mq_timedsend mq_timedsend_time64 mq_unlink msgctl \
            msgget msgrcv msgsnd semctl semget semop semtimedop semtimedop_time64 \
            shmat shmctl shmdt shmget",
    ),
    // Waiting for events.
    always(
        "_newselect epoll_create epoll_create1 epoll_ctl epoll_ctl_old \
            epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 \
            fanotify_mark inotify_add_watch inotify_init inotify_init1 \
            inotify_rm_watch io_cancel io_destroy io_getevents io_pgetevents \
            io_pgetevents_time64 io_setup io_submit poll ppoll ppoll_time64 pselect6 \
            pselect6_time64 select",
    ),
    // Extended attributes.
    always(
        "fgetxattr flistxattr fremovexattr fsetxattr getxattr getxattrat \
            lgetxattr listxattr listxattrat llistxattr lremovexattr lsetxattr \
            removexattr removexattrat setxattr setxattrat",
    ),
    // Descriptors.
    always(
        "close close_range copy_file_range dup dup2 dup3 fadvise64 fadvise64_64 \
            fallocate fcntl fcntl64 fdatasync flock fsync ftruncate ftruncate64 \
            ioctl lseek pipe pipe2 pread64 preadv preadv2 pwrite64 pwritev pwritev2 \
            read readahead readv sendfile sendfile64 splice sync sync_file_range \
            syncfs tee truncate truncate64 vmsplice write writev",
    ),
    // Files and directories.
    always(
        "_llseek access chdir chmod chown chown32 creat faccessat faccessat2 \
            fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat fstat fstat64 \
            fstatat64 fstatfs fstatfs64 futimesat getcwd getdents getdents64 lchown \
            lchown32 link linkat listmount lstat lstat64 mkdir mkdirat mknod mknodat \
            name_to_handle_at newfstatat open openat openat2 readlink readlinkat \
            rename renameat renameat2 rmdir stat stat64 statfs statfs64 statmount \
            statx symlink symlinkat unlink unlinkat utime utimensat utimensat_time64 \
            utimes",
    ),
    // Safe since ptrace cannot be used to step around the filter any more.
    Row { names: "process_vm_readv process_vm_writev ptrace", when: When::Since((4, 8)), answer: Answer::Allow },
    // Architectures.
    on(&["ppc64le"], "swapcontext sync_file_range2"),
    on(&["arm", "arm64"], "arm_fadvise64_64 arm_sync_file_range breakpoint cacheflush set_tls sync_file_range2"),
    on(&["amd64", "x32"], "arch_prctl"),
    on(&["amd64", "x32", "x86"], "modify_ldt"),
    on(&["s390", "s390x"], "s390_pci_mmio_read s390_pci_mmio_write s390_runtime_instr"),
    on(&["riscv64"], "riscv_flush_icache"),
    // Capabilities.
    with(Capability::DacReadSearch, "open_by_handle_at"),
    with(
        Capability::SysAdmin,
        "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick lookup_dcookie \
            lsm_get_self_attr lsm_list_modules lsm_set_self_attr mount mount_setattr move_mount \
            open_tree perf_event_open quotactl quotactl_fd setdomainname sethostname setns syslog \
            umount umount2 unshare",
    ),
    Row {
        names: "clone",
        when: When::Without(Capability::SysAdmin),
        answer: Answer::AllowWithoutFlags(NEW_NAMESPACES),
    },
    Row { names: "clone3", when: When::Without(Capability::SysAdmin), answer: Answer::Errno(ENOSYS) },
    with(Capability::SysBoot, "reboot"),
    with(Capability::SysChroot, "chroot"),
    with(Capability::SysModule, "delete_module finit_module init_module"),
    with(Capability::SysPacct, "acct"),
    with(Capability::SysPtrace, "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev ptrace"),
    with(Capability::SysRawio, "ioperm iopl"),
    with(Capability::SysTime, "clock_settime clock_settime64 settimeofday stime"),
    with(Capability::SysTtyConfig, "vhangup"),
    with(Capability::SysNice, "get_mempolicy mbind set_mempolicy set_mempolicy_home_node"),
    with(Capability::Syslog, "syslog"),
    with(Capability::Bpf, "bpf"),
    with(Capability::Perfmon, "perf_event_open"),
];

/// Socket families that may be opened. Left out: those that no kernel has any more (DECnet 12, Econet 19, ATM SVC
/// 20, IrDA 23, Wanpipe 25, ISDN 34, CAIF 37), the kernel's cryptography (38), and virtual machine sockets (40),
/// which no network namespace holds back.
pub(super) const SOCKET_FAMILIES: &[Range<u64>] = &[0..12, 13..19, 21..23, 24..25, 26..34, 35..37, 39..40, 41..46];

/// Personalities: the usual one, old uname answers, short inodes, both, and asking for the present one.
pub(super) const PERSONALITIES: &[u64] = &[0, 0x0008, 0x2_0000, 0x2_0008, 0xffff_ffff];
