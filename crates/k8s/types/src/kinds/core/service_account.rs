//! ServiceAccount.

use crate::policy::read::{Read, age_cell, name_cell};
use crate::policy::{Column, Policy};

/// The policy of service accounts.
pub static POLICY: Policy = Policy {
    columns: &[Column::NAME, Column::text("Secrets", "How many secrets are listed for it."), Column::AGE],
    cells: |account, now| {
        let secrets = account["secrets"].items().len();
        vec![name_cell(account), secrets.to_string().into(), age_cell(account, now)]
    },
    warnings: |account, old| {
        const ENFORCE: &str = "kubernetes.io/enforce-mountable-secrets";
        let asks = |account: &serde_json::Value| account["metadata"]["annotations"][ENFORCE].is_set();
        if asks(account) && !old.is_some_and(asks) {
            return vec![format!(
                "metadata.annotations[{ENFORCE}]: deprecated in v1.32+; prefer separate namespaces to isolate access to mounted secrets"
            )];
        }
        Vec::new()
    },
    ..Policy::NEUTRAL
};
