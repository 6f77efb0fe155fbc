//! The table of every route, and the handlers behind it: one file per kind of thing.

mod absent;
mod ping;

use std::sync::LazyLock;

use http::Method;

use crate::router::Route;
use crate::server::Handler;

macro_rules! routes {
    ($($method:ident $pattern:literal => $handler:path;)*) => {
        vec![$(Route::new(Method::$method, $pattern, (|call| Box::pin($handler(call))) as Handler),)*]
    };
}

/// All routes. The first row that matches answers, so fixed words stand before names.
pub fn table() -> &'static [Route<Handler>] {
    static TABLE: LazyLock<Vec<Route<Handler>>> = LazyLock::new(make);
    &TABLE
}

fn make() -> Vec<Route<Handler>> {
    routes! {
        GET "/_ping" => ping::ping;
        HEAD "/_ping" => ping::ping;
        POST "/build" => absent::build;
        GET "/swarm" => absent::swarm;
        POST "/swarm/init" => absent::swarm_setup;
    }
}
