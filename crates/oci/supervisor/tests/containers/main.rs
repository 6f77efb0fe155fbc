//! Real containers through client and process, as root; in control groups of their own.

mod death;
mod life;
mod stage;

#[test]
fn the_process_wants_its_folder() {
    let binary = env!("CARGO_BIN_EXE_supervisor-under-test");
    let output = std::process::Command::new(binary).arg("supervisor").output().unwrap();
    assert_eq!(output.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&output.stdout).starts_with("usage: "));
}
