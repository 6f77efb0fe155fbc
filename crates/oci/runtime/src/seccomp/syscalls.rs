//! Numbers of system calls by name and architecture.

use std::sync::OnceLock;

use super::arch::Abi;

struct Entry {
    name: &'static str,
    numbers: [Option<u32>; 5],
}

/// The number of a call, without the x32 bit. `None` if the architecture does not have it.
pub(super) fn number(abi: Abi, name: &str) -> Option<u32> {
    let table = table();
    let index = table.binary_search_by(|entry| entry.name.cmp(name)).ok()?;
    table[index].numbers[abi.column()]
}

/// Every name in the table.
#[cfg(test)]
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    table().iter().map(|entry| entry.name)
}

fn table() -> &'static [Entry] {
    static TABLE: OnceLock<Vec<Entry>> = OnceLock::new();
    TABLE.get_or_init(|| {
        let lines = include_str!("syscalls.txt").lines();
        lines.filter(|line| !line.starts_with('#')).filter_map(parse).collect()
    })
}

fn parse(line: &'static str) -> Option<Entry> {
    let mut words = line.split(' ');
    let name = words.next()?;
    let mut numbers = [None; 5];
    for number in &mut numbers {
        *number = words.next()?.parse().ok();
    }
    Some(Entry { name, numbers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_is_whole_and_sorted() {
        let text = include_str!("syscalls.txt");
        assert_eq!(table().len(), text.lines().filter(|line| !line.starts_with('#')).count());
        assert!(table().is_sorted_by(|a, b| a.name < b.name));
    }

    #[test]
    fn known_numbers() {
        assert_eq!(number(Abi::X86_64, "execveat"), Some(322));
        assert_eq!(number(Abi::X32, "execveat"), Some(545));
        assert_eq!(number(Abi::X86, "socketcall"), Some(102));
        assert_eq!(number(Abi::Aarch64, "socketcall"), None);
        assert_eq!(number(Abi::Arm, "set_tls"), Some(0xf0005));
        assert_eq!(number(Abi::X86_64, "no_such_call"), None);
    }
}
