//! The election of a leader, over an API server in this process.

use std::time::Duration;

use k8s_apiserver::{ApiServer, Config, Identity};
use k8s_client::Election;
use k8s_client::leader::Times;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;

const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    client: kube::Client,
    _server: ApiServer,
    _folder: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let server = ApiServer::open(Config::new(folder.path())).await.unwrap();
        let client = kube::Client::new(server.service(Identity::loopback()), "default");
        World { client, _server: server, _folder: folder }
    }

    /// A candidate that renews often; `lease` is how long others wait for it.
    fn candidate(&self, name: &str, lease: Duration) -> Election {
        let [renew, retry] = [100, 20].map(Duration::from_millis);
        let times = Times { lease, renew, deadline: lease / 2, retry };
        Election::new(self.client.clone(), "kube-system", "elected", name).with_times(times)
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), "kube-system")
    }

    async fn holder(&self) -> (String, i32) {
        let spec = self.leases().get("elected").await.unwrap().spec.unwrap();
        (spec.holder_identity.unwrap_or_default(), spec.lease_transitions.unwrap_or_default())
    }
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future).await.expect("in time")
}

#[tokio::test]
async fn a_lease_that_is_given_back_is_taken_by_who_waits() {
    let world = World::new().await;
    // Nobody could wait for this one to run out.
    let long = Duration::from_secs(3600);
    let mut held = soon(world.candidate("one", long).acquire()).await;
    assert_eq!(world.holder().await, ("one".to_owned(), 0));
    let other = world.candidate("two", long);
    let waiting = tokio::spawn(async move { other.acquire().await });
    // It goes on being renewed meanwhile.
    let before = world.leases().get("elected").await.unwrap();
    let renewed = async {
        while world.leases().get("elected").await.unwrap().spec == before.spec {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        () = held.hold() => panic!("lost"),
        () = soon(renewed) => {}
    }
    assert!(!waiting.is_finished());
    held.release().await;
    let held = soon(waiting).await.unwrap();
    assert_eq!(world.holder().await, ("two".to_owned(), 1));
    held.release().await;
}

#[tokio::test]
async fn the_same_candidate_takes_up_its_own_lease_at_once() {
    let world = World::new().await;
    let long = Duration::from_secs(3600);
    drop(soon(world.candidate("one", long).acquire()).await);
    let held = soon(world.candidate("one", long).acquire()).await;
    assert_eq!(world.holder().await, ("one".to_owned(), 0));
    drop(held);
}

#[tokio::test]
async fn a_lease_that_is_not_renewed_runs_out() {
    let world = World::new().await;
    let short = Duration::from_secs(1);
    // Taken and never renewed, as by a server that was killed.
    let mut first = soon(world.candidate("one", short).acquire()).await;
    drop(soon(world.candidate("two", short).acquire()).await);
    assert_eq!(world.holder().await, ("two".to_owned(), 1));
    // Who comes back finds out that it leads no longer.
    soon(first.hold()).await;
}

#[tokio::test]
async fn a_lease_that_is_taken_away_or_deleted_ends_the_leadership() {
    let world = World::new().await;
    let long = Duration::from_secs(3600);
    let mut held = soon(world.candidate("one", long).acquire()).await;
    // A label of somebody else's does no harm.
    let label = Patch::Merge(json!({"metadata": {"labels": {"a": "b"}}}));
    world.leases().patch("elected", &PatchParams::default(), &label).await.unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(500), held.hold()).await.is_err());
    let taken = Patch::Merge(json!({"spec": {"holderIdentity": "two"}}));
    world.leases().patch("elected", &PatchParams::default(), &taken).await.unwrap();
    soon(held.hold()).await;
    world.leases().delete("elected", &DeleteParams::default()).await.unwrap();
    let mut held = soon(world.candidate("one", long).acquire()).await;
    world.leases().delete("elected", &DeleteParams::default()).await.unwrap();
    soon(held.hold()).await;
}
