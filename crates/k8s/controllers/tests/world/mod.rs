//! The controllers over an API server in this process.

use std::time::Duration;

use k8s_apiserver::{ApiServer, Config, Identity};
use k8s_client::Informers;
use k8s_controllers::Controllers;
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::Client;
use kube::api::Api;

/// What runs until a test has ended.
pub struct World {
    pub client: Client,
    _server: ApiServer,
    _controllers: Controllers,
    _folder: tempfile::TempDir,
}

impl World {
    /// In whose default namespace pods may be made.
    pub async fn new() -> World {
        let folder = tempfile::tempdir().unwrap();
        let server = ApiServer::open(Config::new(folder.path())).await.unwrap();
        let client = Client::new(server.service(Identity::loopback()), "default");
        let controllers = k8s_controllers::start(&Informers::new(client.clone()));
        let accounts = Api::<ServiceAccount>::namespaced(client.clone(), "default");
        eventually("pods may be made", async || accounts.get_opt("default").await.unwrap().is_some()).await;
        World { client, _server: server, _controllers: controllers, _folder: folder }
    }
}

/// Waits until something holds, at most 60 seconds.
pub async fn eventually(what: &str, mut test: impl AsyncFnMut() -> bool) {
    let begun = std::time::Instant::now();
    while begun.elapsed() < Duration::from_secs(60) {
        if test().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("never: {what}");
}
