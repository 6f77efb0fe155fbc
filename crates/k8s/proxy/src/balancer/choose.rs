//! Which endpoints receive what is meant for a service, and how they are numbered.

use super::sets::Place;
use crate::facts::{Backend, Here};

/// Who may receive.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Chosen {
    /// From all the cluster.
    pub cluster: Vec<Place>,
    /// On this node.
    pub local: Vec<Place>,
}

/// Chooses: the ready ones, those of this node or zone if their hints say so; if none is ready, those that still serve while they end.
pub(crate) fn choose(backends: &[Backend], here: &Here) -> Chosen {
    let ready: Vec<&Backend> = backends.iter().filter(|backend| backend.ready).collect();
    let ending: Vec<&Backend> =
        backends.iter().filter(|backend| !backend.ready && backend.serving && backend.terminating).collect();
    let is_here = |backend: &&&Backend| !here.node.is_empty() && backend.node == here.node;
    let local_ready: Vec<&Backend> = ready.iter().filter(is_here).copied().collect();
    let local_ending: Vec<&Backend> = ending.iter().filter(is_here).copied().collect();
    let near = nearby(&ready, here);
    Chosen {
        cluster: places(if ready.is_empty() { &ending } else { &near }),
        local: places(if local_ready.is_empty() { &local_ending } else { &local_ready }),
    }
}

/// Those whose hints name this node, or else its zone; all, unless every one has hints and some name it.
fn nearby<'a>(ready: &[&'a Backend], here: &Here) -> Vec<&'a Backend> {
    let pick = |hints: fn(&Backend) -> &Vec<String>, own: &str| {
        let complete = !own.is_empty() && ready.iter().all(|backend| !hints(backend).is_empty());
        let near = ready.iter().filter(|backend| hints(backend).iter().any(|hint| hint == own));
        Some(near.copied().collect::<Vec<_>>()).filter(|near| complete && !near.is_empty())
    };
    pick(|backend| &backend.nodes, &here.node)
        .or_else(|| pick(|backend| &backend.zones, &here.zone))
        .unwrap_or_else(|| ready.to_vec())
}

fn places(backends: &[&Backend]) -> Vec<Place> {
    backends.iter().map(|backend| Place { address: backend.address, port: backend.port }).collect()
}

/// Numbers places so that few change: who was there keeps its number if that is still given. Those of `first` come first.
pub(crate) fn arrange(before: &[Place], first: &[Place], rest: &[Place]) -> Vec<Place> {
    let mut numbered = Vec::with_capacity(first.len() + rest.len());
    for part in [first, rest] {
        let start = numbered.len();
        let slots = start..start + part.len();
        let keeps = |at: usize| before.get(at).copied().filter(|place| part.contains(place));
        let kept: Vec<Option<Place>> = slots.map(keeps).collect();
        let mut new = part.iter().copied().filter(|place| !kept.contains(&Some(*place)));
        let filled: Vec<Place> = kept.iter().filter_map(|kept| kept.or_else(|| new.next())).collect();
        numbered.extend(filled);
    }
    numbered
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(last: u8, node: &str) -> Backend {
        Backend {
            address: [10, 42, 0, last].into(),
            port: 80,
            ready: true,
            serving: true,
            terminating: false,
            node: node.to_owned(),
            zones: vec![],
            nodes: vec![],
            hostname: None,
        }
    }

    fn here() -> Here {
        Here { node: "a".into(), zone: "north".into() }
    }

    fn place(last: u8) -> Place {
        Place { address: [10, 42, 0, last].into(), port: 80 }
    }

    #[test]
    fn the_ready_ones_receive_and_else_those_that_still_serve() {
        let ending = |last, node| Backend { ready: false, terminating: true, ..backend(last, node) };
        let chosen = choose(&[backend(1, "b"), ending(2, "a"), ending(3, "b")], &here());
        assert_eq!(chosen, Chosen { cluster: vec![place(1)], local: vec![place(2)] });
        let dead = Backend { serving: false, ..ending(4, "a") };
        let chosen = choose(&[ending(2, "b"), dead, Backend { ready: false, ..backend(5, "a") }], &here());
        assert_eq!(chosen, Chosen { cluster: vec![place(2)], local: vec![] });
    }

    #[test]
    fn hints_are_followed_if_all_have_them_and_some_are_for_here() {
        let zoned = |last, zone: &str| Backend { zones: vec![zone.into()], ..backend(last, "b") };
        let cluster = |backends: &[Backend]| choose(backends, &here()).cluster;
        assert_eq!(cluster(&[zoned(1, "north"), zoned(2, "south")]), [place(1)]);
        assert_eq!(cluster(&[zoned(1, "east"), zoned(2, "south")]), [place(1), place(2)]);
        assert_eq!(cluster(&[zoned(1, "north"), backend(2, "b")]), [place(1), place(2)]);
        let mine = Backend { nodes: vec!["a".into()], ..zoned(3, "south") };
        let theirs = Backend { nodes: vec!["b".into()], ..zoned(4, "north") };
        assert_eq!(cluster(&[mine, theirs]), [place(3)]);
    }

    #[test]
    fn numbers_are_kept() {
        let [a, b, c, d] = [1, 2, 3, 4].map(place);
        assert_eq!(arrange(&[], &[], &[a, b, c]), [a, b, c]);
        assert_eq!(arrange(&[a, b, c], &[], &[b, c, d]), [d, b, c]);
        assert_eq!(arrange(&[a, b, c], &[], &[a, c]), [a, c]);
        assert_eq!(arrange(&[a, b, c], &[c], &[a, b]), [c, b, a]);
        assert_eq!(arrange(&[a, b, c], &[], &[]), []);
    }

    proptest::proptest! {
        #[test]
        fn everybody_has_one_number(before in proptest::collection::hash_set(0u8..9, 0..9), first in proptest::collection::hash_set(0u8..5, 0..5), rest in proptest::collection::hash_set(5u8..9, 0..5)) {
            let list = |numbers: &mut dyn Iterator<Item = u8>| numbers.map(place).collect::<Vec<_>>();
            let (first, rest) = (list(&mut first.into_iter()), list(&mut rest.into_iter()));
            let numbered = arrange(&list(&mut before.into_iter()), &first, &rest);
            let sorted = |mut places: Vec<Place>| { places.sort(); places };
            proptest::prop_assert_eq!(sorted(numbered[..first.len()].to_vec()), sorted(first.clone()));
            proptest::prop_assert_eq!(sorted(numbered[first.len()..].to_vec()), sorted(rest));
        }
    }
}
