//! ServiceCIDR: a range that services get their addresses from.

use serde_json::Value;

use crate::field::{Error, Errors, Path};
use crate::kinds::rules::{IMMUTABLE, cidr, parse_cidr};
use crate::policy::read::{Read, age_cell, name_cell};
use crate::policy::{Column, Policy};

pub static SERVICE_CIDR: Policy = Policy {
    validate,
    validate_update,
    update_alone: true,
    columns: &[Column::NAME, Column::text("CIDRs", "The ranges, one for each family."), Column::AGE],
    cells: |range, now| {
        let cidrs: Vec<&str> = range["spec"]["cidrs"].items().iter().map(Read::text).collect();
        vec![name_cell(range), cidrs.join(",").into(), age_cell(range, now)]
    },
    ..Policy::SPEC_STATUS
};

fn validate(range: &Value, errors: &mut Errors) {
    let (cidrs, path) = (&range["spec"]["cidrs"], Path::new("spec").child("cidrs"));
    match cidrs.items() {
        [] => errors.push(Error::required(&path, "at least one CIDR required")),
        [_, _, _, ..] => errors.push(Error::invalid(&path, range["spec"].clone(), "may only hold up to 2 values")),
        list => {
            for (i, item) in list.iter().enumerate() {
                cidr(errors, &path.index(i), item);
            }
            let family = |item: &Value| parse_cidr(item.text()).map(|(ip, _)| ip.is_ipv4());
            if let [first, second] = list
                && family(first).is_some()
                && family(first) == family(second)
            {
                let wrong = "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64";
                errors.push(Error::invalid(&path, cidrs.clone(), wrong));
            }
        }
    }
}

fn validate_update(new: &Value, old: &Value, errors: &mut Errors) {
    let path = Path::new("spec").child("cidrs");
    let (ours, before) = (new["spec"]["cidrs"].items(), old["spec"]["cidrs"].items());
    let mut changed = |i: usize| {
        if ours[i] != before[i] {
            errors.push(Error::invalid(&path.index(i), ours[i].clone(), IMMUTABLE));
        }
    };
    match (before.len(), ours.len()) {
        (a, b) if a == b => (0..a).for_each(changed),
        (1, 2) => {
            changed(0);
            validate(new, errors);
        }
        _ => errors.push(Error::invalid(&path, new["spec"]["cidrs"].clone(), IMMUTABLE)),
    }
}
