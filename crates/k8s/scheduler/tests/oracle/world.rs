//! Random nodes and pods, in a form of their own that becomes Kubernetes' objects.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1;
use serde_json::{Value, from_value, json};

/// Numbers that are the same for the same seed.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    pub fn one_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub fn pick<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    fn text(&mut self, all: &[&str]) -> String {
        (*self.pick(all)).to_owned()
    }
}

pub type Labels = BTreeMap<String, String>;

#[derive(Debug, Clone)]
pub struct World {
    pub nodes: Vec<Node>,
    pub placed: Vec<(Pod, String)>,
    pub namespaces: Vec<(String, Labels)>,
}

impl World {
    pub fn random(random: &mut Random) -> World {
        let count = 3 + random.below(6);
        let team = |name: &str, team: &str| (name.to_owned(), Labels::from([("team".to_owned(), team.to_owned())]));
        // Every other world has many nodes of few kinds, as clusters do.
        let kinds: Vec<Node> = (0..2).map(|at| Node::random(random, at)).collect();
        let nodes = match random.one_in(2) {
            true => (0..2 * count).map(|at| random.pick(&kinds).clone().renamed(at)).collect(),
            false => (0..count).map(|at| Node::random(random, at)).collect(),
        };
        World { nodes, placed: Vec::new(), namespaces: vec![team("x", "red"), team("y", "blue")] }
    }
}

#[derive(Debug, Clone)]
pub struct Node {
    pub name: String,
    pub cpu: i64,
    pub memory: i64,
    pub pods: i64,
    pub gpus: i64,
    pub labels: Labels,
    /// Key, value, effect.
    pub taints: Vec<(String, String, String)>,
    pub cordoned: bool,
    pub images: Vec<(String, i64)>,
}

impl Node {
    pub fn random(random: &mut Random, at: usize) -> Node {
        let name = format!("node-{at}");
        let mut labels = Labels::from([("kubernetes.io/hostname".to_owned(), name.clone())]);
        if !random.one_in(8) {
            labels.insert("topology.kubernetes.io/zone".to_owned(), random.text(&["z1", "z2", "z3"]));
        }
        if !random.one_in(3) {
            labels.insert("disk".to_owned(), random.text(&["ssd", "hdd"]));
        }
        let mut taints = Vec::new();
        if random.one_in(4) {
            let effect = random.text(&["NoSchedule", "PreferNoSchedule", "NoExecute"]);
            taints.push((random.text(&["dedicated", "old"]), random.text(&["", "a"]), effect));
        }
        let megabytes = |n: usize| n as i64 * 1024 * 1024;
        let images = ["app:1", "db:2"].into_iter().filter(|_| random.one_in(2)).map(str::to_owned).collect::<Vec<_>>();
        Node {
            name,
            cpu: 500 * (1 + random.below(6) as i64),
            memory: 256 * 1024 * 1024 * (1 + random.below(8) as i64),
            pods: 2 + random.below(8) as i64,
            gpus: random.below(3) as i64,
            labels,
            taints,
            cordoned: random.one_in(12),
            images: images.into_iter().map(|name| (name, megabytes(100 + random.below(900)))).collect(),
        }
    }

    fn renamed(mut self, at: usize) -> Node {
        self.name = format!("node-{at}");
        self.labels.insert("kubernetes.io/hostname".to_owned(), self.name.clone());
        self
    }

    pub fn object(&self) -> v1::Node {
        let taints: Vec<Value> = self
            .taints
            .iter()
            .map(|(key, value, effect)| json!({"key": key, "value": value, "effect": effect}))
            .collect();
        let images: Vec<Value> =
            self.images.iter().map(|(name, size)| json!({"names": [name], "sizeBytes": size})).collect();
        from_value(json!({
            "metadata": {"name": self.name, "labels": self.labels},
            "spec": {"taints": taints, "unschedulable": self.cordoned},
            "status": {"images": images, "allocatable": {"cpu": format!("{}m", self.cpu), "memory": self.memory.to_string(),
                "pods": self.pods.to_string(), "example.com/gpu": self.gpus.to_string()}},
        }))
        .unwrap()
    }
}

/// Pods with this label, in these namespaces, by this key of nodes.
#[derive(Debug, Clone)]
pub struct Term {
    pub app: String,
    /// Empty: that of the pod itself.
    pub namespaces: Vec<String>,
    /// Namespaces with this label, too.
    pub team: Option<String>,
    pub key: String,
}

#[derive(Debug, Clone)]
pub struct Spread {
    pub app: String,
    pub key: String,
    pub max_skew: i64,
    pub min_domains: Option<i64>,
    pub must: bool,
    pub honour_affinity: bool,
    pub honour_taints: bool,
}

#[derive(Debug, Clone)]
pub struct Pod {
    pub name: String,
    pub namespace: String,
    pub app: String,
    /// Requests; zero is none at all.
    pub cpu: i64,
    pub memory: i64,
    pub gpus: i64,
    pub image: String,
    pub port: Option<i64>,
    pub priority: i32,
    pub leaving: bool,
    pub disk: Option<String>,
    /// Key, operator, values.
    pub required: Option<(String, String, Vec<String>)>,
    /// Weight, key, value.
    pub preferred: Vec<(i64, String, String)>,
    /// Key (empty is all), value (empty is any), effect (empty is all).
    pub tolerations: Vec<(String, String, String)>,
    pub near: Vec<Term>,
    pub away: Vec<Term>,
    pub likes: Vec<(i64, Term)>,
    pub spreads: Vec<Spread>,
}

const KEYS: [&str; 3] = ["kubernetes.io/hostname", "topology.kubernetes.io/zone", "disk"];
const APPS: [&str; 3] = ["web", "db", "job"];

impl Term {
    fn random(random: &mut Random) -> Term {
        Term {
            app: random.text(&APPS),
            namespaces: if random.one_in(3) { vec![random.text(&["x", "y"])] } else { Vec::new() },
            team: random.one_in(4).then(|| random.text(&["red", "blue"])),
            key: random.text(&KEYS),
        }
    }

    fn object(&self) -> Value {
        let mut term = json!({"topologyKey": self.key, "labelSelector": {"matchLabels": {"app": self.app}}});
        if !self.namespaces.is_empty() {
            term["namespaces"] = json!(self.namespaces);
        }
        if let Some(team) = &self.team {
            term["namespaceSelector"] = json!({"matchLabels": {"team": team}});
        }
        term
    }
}

impl Pod {
    /// A pod with little that is special, for which it never helps that there are more others.
    pub fn monotone(random: &mut Random) -> Pod {
        let mut pod = Pod {
            name: String::new(),
            namespace: random.text(&["x", "y"]),
            app: random.text(&APPS),
            cpu: 100 * random.below(12) as i64,
            memory: 64 * 1024 * 1024 * random.below(8) as i64,
            gpus: if random.one_in(6) { 1 } else { 0 },
            image: random.text(&["app:1", "db:2", "other"]),
            port: random.one_in(5).then(|| 8000 + random.below(2) as i64),
            priority: random.below(5) as i32,
            leaving: false,
            disk: random.one_in(6).then(|| random.text(&["ssd", "hdd"])),
            required: None,
            preferred: Vec::new(),
            tolerations: Vec::new(),
            near: Vec::new(),
            away: Vec::new(),
            likes: Vec::new(),
            spreads: Vec::new(),
        };
        if random.one_in(4) {
            pod.away.push(Term::random(random));
        }
        pod
    }

    pub fn random(random: &mut Random) -> Pod {
        let mut pod = Pod::monotone(random);
        pod.away.clear();
        if random.one_in(5) {
            let key = random.text(&["disk", "topology.kubernetes.io/zone"]);
            let operator = random.text(&["In", "NotIn", "Exists", "DoesNotExist"]);
            let values = if operator.ends_with("In") { vec![random.text(&["ssd", "z1"])] } else { Vec::new() };
            pod.required = Some((key, operator, values));
        }
        if random.one_in(3) {
            let value = random.text(&["ssd", "hdd"]);
            pod.preferred.push((1 + random.below(100) as i64, "disk".to_owned(), value));
        }
        if random.one_in(2) {
            let effect = random.text(&["", "NoSchedule", "PreferNoSchedule", "NoExecute"]);
            pod.tolerations.push((random.text(&["", "dedicated", "old"]), random.text(&["", "a"]), effect));
        }
        if random.one_in(4) {
            pod.near.push(Term::random(random));
        }
        if random.one_in(8) {
            pod.near.push(Term::random(random));
        }
        if random.one_in(4) {
            pod.away.push(Term::random(random));
        }
        for _ in 0..random.below(3) {
            let weight = 1 + random.below(100) as i64;
            let weight = if random.one_in(2) { -weight } else { weight };
            pod.likes.push((weight, Term::random(random)));
        }
        for _ in 0..random.below(3) {
            let must = random.one_in(2);
            let spread = Spread {
                app: random.text(&APPS),
                key: random.text(&KEYS),
                max_skew: 1 + random.below(2) as i64,
                min_domains: (must && random.one_in(3)).then(|| 1 + random.below(4) as i64),
                must,
                honour_affinity: !random.one_in(3),
                honour_taints: random.one_in(3),
            };
            // The same key and kind twice is not allowed.
            if !pod.spreads.iter().any(|other| other.key == spread.key && other.must == must) {
                pod.spreads.push(spread);
            }
        }
        pod
    }

    pub fn object(&self) -> v1::Pod {
        let mut requests = serde_json::Map::new();
        for (name, amount) in [("cpu", self.cpu), ("memory", self.memory), ("example.com/gpu", self.gpus)] {
            if amount > 0 {
                let text = if name == "cpu" { format!("{amount}m") } else { amount.to_string() };
                requests.insert(name.to_owned(), text.into());
            }
        }
        let ports: Vec<Value> = self.port.iter().map(|port| json!({"containerPort": 80, "hostPort": port})).collect();
        let mut node = json!({});
        if let Some((key, operator, values)) = &self.required {
            let expression = json!({"key": key, "operator": operator, "values": values});
            node["requiredDuringSchedulingIgnoredDuringExecution"] =
                json!({"nodeSelectorTerms": [{"matchExpressions": [expression]}]});
        }
        let preferred: Vec<Value> = self
            .preferred
            .iter()
            .map(|(weight, key, value)| {
                let expression = json!({"key": key, "operator": "In", "values": [value]});
                json!({"weight": weight, "preference": {"matchExpressions": [expression]}})
            })
            .collect();
        node["preferredDuringSchedulingIgnoredDuringExecution"] = preferred.into();
        let terms = |terms: &[Term]| terms.iter().map(Term::object).collect::<Vec<_>>();
        let wishes = |sign: i64| {
            let wanted = self.likes.iter().filter(|(weight, _)| weight.signum() == sign);
            let wish = |(weight, term): &(i64, Term)| json!({"weight": weight.abs(), "podAffinityTerm": term.object()});
            wanted.map(wish).collect::<Vec<_>>()
        };
        let must = "requiredDuringSchedulingIgnoredDuringExecution";
        let wish = "preferredDuringSchedulingIgnoredDuringExecution";
        from_value(json!({
            "metadata": {"name": self.name, "uid": self.name, "namespace": self.namespace, "labels": {"app": self.app},
                "deletionTimestamp": self.leaving.then_some("2026-01-01T00:00:00Z")},
            "spec": {
                "priority": self.priority,
                "nodeSelector": self.disk.as_ref().map(|disk| json!({"disk": disk})),
                "containers": [{"name": "c", "image": self.image, "ports": ports, "resources": {"requests": requests}}],
                "tolerations": self.tolerations.iter().map(toleration).collect::<Vec<_>>(),
                "affinity": {
                    "nodeAffinity": node,
                    "podAffinity": {must: terms(&self.near), wish: wishes(1)},
                    "podAntiAffinity": {must: terms(&self.away), wish: wishes(-1)},
                },
                "topologySpreadConstraints": self.spreads.iter().map(spread).collect::<Vec<_>>(),
            },
        }))
        .unwrap()
    }
}

fn toleration((key, value, effect): &(String, String, String)) -> Value {
    let operator = if key.is_empty() || value.is_empty() { "Exists" } else { "Equal" };
    let value = if operator == "Exists" { "" } else { value };
    json!({"key": key, "operator": operator, "value": value, "effect": effect})
}

fn spread(spread: &Spread) -> Value {
    let policy = |honour: bool| if honour { "Honor" } else { "Ignore" };
    json!({
        "maxSkew": spread.max_skew, "topologyKey": spread.key, "minDomains": spread.min_domains,
        "whenUnsatisfiable": if spread.must { "DoNotSchedule" } else { "ScheduleAnyway" },
        "labelSelector": {"matchLabels": {"app": spread.app}},
        "nodeAffinityPolicy": policy(spread.honour_affinity), "nodeTaintsPolicy": policy(spread.honour_taints),
    })
}
