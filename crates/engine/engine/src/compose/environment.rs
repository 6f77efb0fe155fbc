//! The environment of a process, in docker's order.

/// Docker's search path.
pub const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// `PATH`, `HOSTNAME`, `TERM` on a terminal, what is configured (replacing those in place), and `HOME` at the end
/// unless it is set.
pub fn of_container(hostname: &str, tty: bool, configured: &[String], home: &str) -> Vec<String> {
    let mut variables = vec![PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if tty {
        variables.push("TERM=xterm".to_owned());
    }
    override_with(&mut variables, configured);
    add_home(&mut variables, home);
    variables
}

/// The container's environment with what an exec adds.
pub fn of_exec(hostname: &str, tty: bool, configured: &[String], added: &[String], home: &str) -> Vec<String> {
    let mut variables = vec![PATH.to_owned(), format!("HOSTNAME={hostname}")];
    if tty {
        variables.push("TERM=xterm".to_owned());
    }
    override_with(&mut variables, configured);
    override_with(&mut variables, added);
    add_home(&mut variables, home);
    variables
}

/// Later ones replace earlier ones in place; a name without `=` takes the variable away.
fn override_with(variables: &mut Vec<String>, more: &[String]) {
    for variable in more {
        let name = name_of(variable);
        let found = variables.iter().position(|it| name_of(it) == name);
        match (found, variable.contains('=')) {
            (Some(at), true) => variables[at].clone_from(variable),
            (Some(at), false) => {
                variables.remove(at);
            }
            (None, true) => variables.push(variable.clone()),
            (None, false) => {}
        }
    }
}

fn add_home(variables: &mut Vec<String>, home: &str) {
    if !variables.iter().any(|it| name_of(it) == "HOME") {
        variables.push(format!("HOME={home}"));
    }
}

fn name_of(variable: &str) -> &str {
    variable.split('=').next().unwrap_or(variable)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_is_dockers() {
        let configured = ["A=1".to_owned(), "PATH=/x".to_owned(), "TERM".to_owned()];
        assert_eq!(of_container("web", true, &configured, "/root"), ["PATH=/x", "HOSTNAME=web", "A=1", "HOME=/root"]);
    }
}
