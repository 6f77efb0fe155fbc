//! The table in the kernel: made, adopted, changed, removed.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use netlink::nft::{Element, Family as TableFamily, Table};
use netlink::{Batch, Protocol, Request, Socket};
use rustix::io::Errno;

use super::ledger::{Change, Ledger};
use super::rules;
use super::sets::{self, FAMILIES, Family, Key, Kind, Place, SETS, Set, Value, octets};
use crate::config::{Config, Subnet};
use crate::error::{Result, failed};

/// Elements that go into one transaction: what a socket takes at once has an end.
const TOGETHER: usize = 30_000;

/// The table of this instance, and what we know to be in it.
pub(crate) struct Installed {
    table: Table,
    socket: Socket,
    /// Chains made on demand that are there.
    chains: HashSet<String>,
}

impl Installed {
    pub fn open(config: &Config) -> Result<Installed> {
        let socket = Socket::open(Protocol::Netfilter).map_err(failed("open nf_tables socket"))?;
        let table = Table::new(TableFamily::Inet, format!("sampan-services-{}", config.short()));
        Ok(Installed { table, socket, chains: HashSet::new() })
    }

    /// Makes the kernel hold exactly what the ledger says, in one step unless it is very much; returns how many elements changed.
    pub fn install(&mut self, ledger: &Ledger, config: &Config) -> Result<usize> {
        self.chains.clear();
        let held = self.held()?;
        let changes = differences(&held, ledger);
        let mut last = self.write(self.skeleton(ledger, config), &changes);
        if let Err(error) = &last {
            // made by another version, or by somebody else
            tracing::info!(%error, "the table of services is made anew");
            self.chains.clear();
            let changes = differences(&HashMap::new(), ledger);
            let anew =
                [self.table.add(), self.table.delete()].into_iter().chain(self.skeleton(ledger, config)).collect();
            last = self.write(anew, &changes);
        }
        last.map(|()| changes.len()).map_err(failed("install the table of services"))
    }

    /// Writes changes in one step.
    pub fn apply(&mut self, changes: &[Change]) -> Result<()> {
        self.write(Vec::new(), changes).map_err(failed("change the table of services"))
    }

    /// Forgets clients by what they aimed at (with its protocol) and where they were led.
    pub fn forget_clients(&mut self, stale: impl Fn(SocketAddr, u8, Place) -> bool) -> Result<()> {
        for family in FAMILIES {
            let map = sets::affinity(family);
            let all = self.table.dump_elements(&mut self.socket, &map).map_err(failed("list remembered clients"))?;
            let gone: Vec<Element> = all
                .into_iter()
                .filter(|element| {
                    client(family, element).is_some_and(|(to, protocol, place)| stale(to, protocol, place))
                })
                .map(|element| Element::key(&[&element.key]))
                .collect();
            // one at a time: those that have ended by themselves would keep the others
            for element in gone {
                let requests = self.table.delete_elements(&map, &[element]);
                let batch: Batch = requests.into_iter().map(|request| request.tolerate(Errno::NOENT)).collect();
                match self.socket.run(&batch) {
                    Err(error) if error.errno() != Some(Errno::NOENT) => {
                        return Err(failed("forget a remembered client")(error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Deletes the table; one that is not there is not missed.
    pub fn remove(&mut self) -> Result<()> {
        match self.socket.run_one(self.table.delete()) {
            Err(error) if error.errno() == Some(Errno::NOENT) => Ok(()),
            result => result.map_err(failed("remove the table of services")),
        }
    }

    fn write(&mut self, mut requests: Vec<Request>, changes: &[Change]) -> std::result::Result<(), netlink::Error> {
        for part in if changes.is_empty() { vec![changes] } else { changes.chunks(TOGETHER).collect() } {
            let leads = part.iter().filter_map(|change| Some((&change.key, change.after?)));
            let made = self.make_chains(leads, &mut requests);
            requests.extend(self.elements(part));
            self.socket.run(&std::mem::take(&mut requests).into_iter().collect())?;
            self.chains.extend(made);
        }
        Ok(())
    }

    /// Requests for the chains that elements lead to and that are not there yet.
    fn make_chains<'a>(
        &self,
        elements: impl Iterator<Item = (&'a Key, Value)>,
        requests: &mut Vec<Request>,
    ) -> HashSet<String> {
        let mut made = HashSet::new();
        for (key, value) in elements {
            let Some(name) = key.chain(&value) else { continue };
            if self.chains.contains(&name) || !made.insert(name.clone()) {
                continue;
            }
            let kind = if name.starts_with("port") { Kind::Port } else { Kind::Address };
            let rules = match value {
                Value::Spread(count) => rules::spread(kind, key.family(), count),
                Value::Keep(seconds) => vec![rules::keep(key.family(), seconds)],
                Value::Present | Value::Place(_) | Value::Drop | Value::Foreign => continue,
            };
            requests.push(self.table.add_chain(&name, None));
            requests.push(self.table.flush_chain(&name));
            requests.extend(rules.iter().map(|rule| self.table.add_rule(&name, rule)));
        }
        made
    }

    /// What has to go first, then what comes.
    fn elements(&self, changes: &[Change]) -> Vec<Request> {
        type Elements = BTreeMap<(Set, Family), Vec<Element>>;
        let (mut gone, mut come) = (Elements::new(), Elements::new());
        for change in changes {
            let place = (change.key.set(), change.key.family());
            if let Some(before) = &change.before {
                // the key alone: for who claimed the same before us, the data may differ from what we remember
                let element = change.key.element(before);
                gone.entry(place).or_default().push(Element { data: None, verdict: None, ..element });
            }
            if let Some(after) = &change.after {
                come.entry(place).or_default().push(change.key.element(after));
            }
        }
        let gone = gone.iter().flat_map(|((set, family), all)| self.table.delete_elements(&set.spec(*family), all));
        let mut requests: Vec<Request> = gone.collect();
        for ((set, family), all) in &come {
            requests.extend(self.table.add_elements(&set.spec(*family), all));
        }
        requests
    }

    /// Every element that is there, of a table that may be another version's.
    fn held(&mut self) -> Result<HashMap<Key, Value>> {
        let mut held = HashMap::new();
        if !self.table.exists(&mut self.socket).map_err(failed("look for the table of services"))? {
            return Ok(held);
        }
        for (set, family) in SETS.into_iter().flat_map(|set| FAMILIES.map(|family| (set, family))) {
            match self.table.dump_elements(&mut self.socket, &set.spec(family)) {
                Ok(elements) => held.extend(elements.iter().map(|element| {
                    let key = Key::of(set, family, element);
                    let value = key.value_of(element);
                    (key, value)
                })),
                Err(error) if error.errno() == Some(Errno::NOENT) => {}
                Err(error) => return Err(failed("read the table of services")(error)),
            }
        }
        Ok(held)
    }

    /// Table, sets, chains and rules; old rules go in the same step as the new ones come.
    fn skeleton(&self, ledger: &Ledger, config: &Config) -> Vec<Request> {
        let mut requests = vec![self.table.add()];
        for family in FAMILIES {
            requests.extend(SETS.map(|set| self.table.add_set(&set.spec(family))));
            requests.push(self.table.add_set(&sets::affinity(family)));
            let names = sets::names(family);
            let own = config.dns.iter().filter(|address| Family::of(**address) == family);
            let own: Vec<Element> = own.map(|address| Element::key(&[&octets(*address)])).collect();
            requests.push(self.table.add_set(&names));
            requests.push(self.table.flush_set(&names));
            requests.extend(self.table.add_elements(&names, &own));
            for (set, subnets) in
                [(sets::pods(family), &config.pod_cidrs), (sets::range(family), &config.service_cidrs)]
            {
                let own = subnets.iter().filter(|subnet| Family::of(subnet.base) == family);
                requests.push(self.table.add_set(&set));
                requests.push(self.table.flush_set(&set));
                requests.extend(self.table.add_elements(&set, &own.flat_map(between).collect::<Vec<_>>()));
            }
        }
        for (chain, base) in rules::chains() {
            requests.push(self.table.add_chain(&chain, base));
            requests.push(self.table.flush_chain(&chain));
        }
        requests.extend(rules::rules().into_iter().map(|(chain, rule)| self.table.add_rule(&chain, &rule)));
        // also those that elements lead to which stay: their rules may be an earlier version's
        self.make_chains(ledger.all(), &mut requests);
        requests
    }
}

/// What has to change for the kernel to hold what the ledger says.
fn differences(held: &HashMap<Key, Value>, ledger: &Ledger) -> Vec<Change> {
    let mut wanted = HashSet::new();
    let mut changes = Vec::new();
    for (key, after) in ledger.all() {
        wanted.insert(key);
        let before = held.get(key).copied();
        if before != Some(after) {
            changes.push(Change { key: key.clone(), before, after: Some(after) });
        }
    }
    let stale = held.iter().filter(|(key, _)| !wanted.contains(key));
    changes.extend(stale.map(|(key, value)| Change { key: key.clone(), before: Some(*value), after: None }));
    changes.sort_unstable_by(|one, other| one.key.cmp(&other.key));
    changes
}

fn between(subnet: &Subnet) -> Vec<Element> {
    let (first, last) = subnet.ends();
    let mut range = vec![Element::key(&[&octets(first)])];
    let after: Option<IpAddr> = match last {
        IpAddr::V4(last) => last.to_bits().checked_add(1).map(|bits| std::net::Ipv4Addr::from_bits(bits).into()),
        IpAddr::V6(last) => last.to_bits().checked_add(1).map(|bits| std::net::Ipv6Addr::from_bits(bits).into()),
    };
    range.extend(after.map(|after| Element::end_before(&[&octets(after)])));
    range
}

/// What a remembered client aimed at, and where it was led.
fn client(family: Family, element: &Element) -> Option<(SocketAddr, u8, Place)> {
    let (_, rest) = sets::split_address(family, &element.key)?;
    let (address, rest) = sets::split_address(family, rest)?;
    let [protocol, _, _, _, high, low, ..] = *rest else { return None };
    let place = Place::read(family, element.data.as_deref()?)?;
    Some(((address, u16::from_be_bytes([high, low])).into(), protocol, place))
}
