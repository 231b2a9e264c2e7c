//! `tidegate login`: exchanges a one-time code for a token, and pins the fleet that the server serves.
//! Never prints the token.

use anyhow::{Context as _, Result, bail};
use clap::Args;
use serde_json::json;
use tidegate_domain::digest::Digest;
use tidegate_trust::tuf::Role as _;
use tidegate_trust::tuf::repository::RootRole;

use crate::client::Client;
use crate::context::Context;
use crate::output::{Answer, facts};
use crate::settings::Login;

const EXAMPLES: &str = "\
`tidegate up` prints the code when it starts. The token is stored beside config.toml, mode 0600, and
is sent to this server only. With --fleet-digest (from fleet.json) a server of another fleet is
refused; without it, the fleet that the server serves now is pinned: compare it with what
`trust init` printed.

Examples:
  tidegate login http://127.0.0.1:7440 --code 7K2M-...
  tidegate login https://tidegate.example:7440 --ca-file ca.pem --fleet-digest sha256:... \\
      --code 7K2M-...";

/// Log in at a server.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct LoginArgs {
    /// The server, https://HOST:PORT
    url: String,
    /// The one-time code that `tidegate up` printed, or `operator add` on the server's host
    #[arg(long)]
    code: String,
}

pub(super) fn run(context: &Context, args: &LoginArgs) -> Result<Answer> {
    let settings = &context.settings;
    let place = settings.login_file.as_deref().context("no home folder is known; right is --config FILE")?;
    if !(1..=200).contains(&args.code.len()) {
        bail!("--code has {} bytes; right is the code that `tidegate up` printed", args.code.len());
    }
    let api = Client::new(&args.url, None, settings.ca_pem()?.as_deref())?;
    let answer = api.login(&args.code)?;
    let known = Client::new(&args.url, Some(answer.token.clone().into()), settings.ca_pem()?.as_deref())?;
    let root = known
        .metadata("1.root.json", RootRole::BYTES_MAX as u64)?
        .with_context(|| format!("{} has no root 1: it serves no fleet", args.url))?;
    let fleet = Digest::of(&root);
    if let Some(expected) = settings.fleet.filter(|expected| *expected != fleet) {
        bail!("{} serves fleet {fleet}, expected {expected}; nothing was stored", args.url);
    }
    let login =
        Login { server: args.url.clone(), fleet, operator: answer.operator, role: answer.role, token: answer.token };
    login.write(place)?;
    let role = serde_json::to_value(login.role)?;
    let text = facts(&[
        ("server", login.server.clone()),
        ("operator", format!("{} ({})", login.operator, role.as_str().unwrap_or_default())),
        ("fleet", fleet.to_string()),
        ("token", format!("stored in {}", place.display())),
    ]);
    Answer::new(
        json!({"server": login.server, "operator": login.operator, "role": role, "fleet": fleet, "stored_in": place}),
        text,
    )
}
