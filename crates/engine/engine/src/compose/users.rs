//! Users and groups by name or number, read by hand from the container's own files.

use crate::error::{Error, Result};
use crate::model::pod::Groups;

/// Who a process is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Who {
    pub uid: u32,
    pub gid: u32,
    /// Supplementary groups, the primary one first.
    pub groups: Vec<u32>,
    pub home: String,
}

#[derive(Debug, PartialEq)]
struct User<'a> {
    name: &'a str,
    uid: u32,
    gid: u32,
    home: &'a str,
}

#[derive(Debug)]
struct Group<'a> {
    name: &'a str,
    gid: u32,
    members: Vec<&'a str>,
}

/// Resolves `user[:group]` (empty: root) and the added groups with the texts of `/etc/passwd` and `/etc/group`.
pub fn resolve(text: &str, added: &[String], passwd: &str, group: &str) -> Result<Who> {
    let (user_text, group_text) = match text.split_once(':') {
        Some((user, group)) => (user, Some(group)),
        None => (text, None),
    };
    let mut who = find_user(user_text, passwd)?;
    let name = who.name.to_owned();
    if let Some(text) = group_text.filter(|text| !text.is_empty()) {
        who.who.gid = find_group(text, group)?;
        who.who.groups = vec![who.who.gid];
    } else {
        who.who.groups = vec![who.who.gid];
        let member_of = groups(group).filter(|it| it.members.contains(&name.as_str()));
        who.who.groups.extend(member_of.map(|it| it.gid));
    }
    for text in added {
        who.who.groups.push(find_group(text, group)?);
    }
    let mut seen = Vec::new();
    who.who.groups.retain(|gid| {
        let new = !seen.contains(gid);
        seen.push(*gid);
        new
    });
    Ok(who.who)
}

/// The same for a member of a sandbox: the image's groups count for a named primary group as well, or not at all.
pub fn resolve_member(text: &str, added: &[String], groups: Groups, passwd: &str, group: &str) -> Result<Who> {
    let (user, primary) = text.split_once(':').unwrap_or((text, ""));
    let image = match groups {
        Groups::Merged => group,
        Groups::Strict => "",
    };
    // Names are still those of the image.
    let primary = if primary.is_empty() { None } else { Some(find_group(primary, group)?) };
    let mut who = resolve(user, &[], passwd, image)?;
    if let Some(gid) = primary {
        who.groups.retain(|it| *it != who.gid && *it != gid);
        who.gid = gid;
        who.groups.insert(0, gid);
    }
    for text in added {
        let gid = find_group(text, group)?;
        if !who.groups.contains(&gid) {
            who.groups.push(gid);
        }
    }
    Ok(who)
}

struct Found<'a> {
    name: &'a str,
    who: Who,
}

fn find_user<'a>(text: &'a str, passwd: &'a str) -> Result<Found<'a>> {
    let number: Option<u32> = match text {
        "" => Some(0),
        _ => text.parse().ok(),
    };
    if number.is_none() && text.parse::<i64>().is_ok() {
        return Err(Error::invalid("uids and gids must be in range 0-2147483647".to_owned()));
    }
    let by_name = users(passwd).find(|it| !text.is_empty() && it.name == text);
    let by_number = || users(passwd).find(|it| Some(it.uid) == number);
    let found = by_name.or_else(by_number);
    match (found, number) {
        (Some(user), _) => Ok(Found {
            name: user.name,
            who: Who {
                uid: user.uid,
                gid: user.gid,
                groups: Vec::new(),
                home: if user.home.is_empty() { "/" } else { user.home }.to_owned(),
            },
        }),
        (None, Some(uid)) => Ok(Found {
            name: "",
            who: Who { uid, gid: 0, groups: Vec::new(), home: if uid == 0 { "/root" } else { "/" }.to_owned() },
        }),
        (None, None) => Err(Error::invalid(format!("unable to find user {text}: no matching entries in passwd file"))),
    }
}

fn find_group(text: &str, group: &str) -> Result<u32> {
    if let Some(found) = groups(group).find(|it| it.name == text) {
        return Ok(found.gid);
    }
    text.parse().map_err(|_| Error::invalid(format!("unable to find group {text}: no matching entries in group file")))
}

fn users(passwd: &str) -> impl Iterator<Item = User<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let _password = fields.next()?;
        let uid = fields.next()?.parse().ok()?;
        let gid = fields.next()?.parse().ok()?;
        let _comment = fields.next();
        let home = fields.next().unwrap_or_default();
        Some(User { name, uid, gid, home })
    })
}

fn groups(group: &str) -> impl Iterator<Item = Group<'_>> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty())?;
        let _password = fields.next()?;
        let gid = fields.next()?.parse().ok()?;
        let members = fields.next().unwrap_or_default();
        let members = members.split(',').filter(|it| !it.is_empty()).collect();
        Some(Group { name, gid, members })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/bash\nbad line\nweb:x:33:33:w:/var/www:/bin/sh\n";
    const GROUP: &str = "root:x:0:\nweb:x:33:\naudio:x:29:web,other\n44:x:7:\n";

    fn who(text: &str) -> Result<(u32, u32, Vec<u32>, String)> {
        resolve(text, &[], PASSWD, GROUP).map(|it| (it.uid, it.gid, it.groups, it.home))
    }

    #[test]
    fn names_numbers_and_neither() {
        assert_eq!(who("").unwrap(), (0, 0, vec![0], "/root".into()));
        assert_eq!(who("web").unwrap(), (33, 33, vec![33, 29], "/var/www".into()));
        assert_eq!(who("33").unwrap(), (33, 33, vec![33, 29], "/var/www".into()));
        assert_eq!(who("1000").unwrap(), (1000, 0, vec![0], "/".into()));
        assert_eq!(who("web:audio").unwrap(), (33, 29, vec![29], "/var/www".into()));
        assert_eq!(who("web:44").unwrap().1, 7);
        assert_eq!(
            who("nobody").unwrap_err().message(),
            "unable to find user nobody: no matching entries in passwd file"
        );
        assert_eq!(
            who("web:none").unwrap_err().message(),
            "unable to find group none: no matching entries in group file"
        );
    }

    #[test]
    fn groups_of_members_are_merged_or_strict() {
        let added = ["4000".to_owned()];
        let who = |text, groups| resolve_member(text, &added, groups, PASSWD, GROUP).map(|it| (it.gid, it.groups));
        assert_eq!(who("web", Groups::Merged).unwrap(), (33, vec![33, 29, 4000]));
        assert_eq!(who("web:3000", Groups::Merged).unwrap(), (3000, vec![3000, 29, 4000]));
        assert_eq!(who("web:3000", Groups::Strict).unwrap(), (3000, vec![3000, 4000]));
        assert_eq!(who("web:audio", Groups::Strict).unwrap(), (29, vec![29, 4000]));
    }

    #[test]
    fn added_groups_come_last_and_once() {
        let added = ["audio".to_owned(), "99".to_owned(), "33".to_owned()];
        let who = resolve("web", &added, PASSWD, GROUP).unwrap();
        assert_eq!(who.groups, [33, 29, 99]);
    }
}
