//! `build`: not there yet, and says so.

use crate::connection::Client;
use crate::{Failure, Outcome};
use clap::Args;

#[derive(Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Build {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    _arguments: Vec<String>,
}

pub(super) async fn build(_: Build, _: Client) -> Outcome {
    Err(Failure::new(1, "sampan: build is unimplemented"))
}
