//! A device that is two machines with one key: held, so that neither takes releases, until a person has looked.

use std::sync::Arc;

use tidegate_control::command::Command;
use tidegate_control::hold::Hold;
use tidegate_domain::ids::{DeviceId, NameError};
use tidegate_domain::selector::Selector;
use tidegate_domain::time::WallTime;

use crate::app::App;
use crate::clock::now;

/// Who holds it.
const SERVER: &str = "tidegate";
const REASON: &str =
    "two machines use this device's key: retire it, remove the data folders of both and enrol them anew";

/// Holds the device, unless it is held for that already.
pub(super) async fn hold(app: Arc<App>, device: DeviceId) {
    if let Err(problem) = try_to(&app, device.clone()).await {
        tracing::error!(%device, "two machines use this device's key, and it cannot be held: {problem}");
    }
}

async fn try_to(app: &App, device: DeviceId) -> Result<(), String> {
    let at = now();
    if is_held(app, &device, at)? {
        return Ok(());
    }
    tracing::warn!(%device, "two machines use this device's key: it is held");
    let hold = Hold {
        select: Selector::default(),
        devices: [device].into(),
        package: None,
        from_ms: at,
        until_ms: None,
        windows: None,
        by: SERVER.parse().map_err(|error: NameError| error.to_string())?,
        reason: REASON.to_owned(),
    };
    app.desk.ask(Command::Hold(Box::new(hold))).await.map(drop).map_err(|refused| format!("{refused:?}"))
}

fn is_held(app: &App, device: &DeviceId, at: WallTime) -> Result<bool, String> {
    let state = app.desk.state().map_err(|refused| format!("{refused:?}"))?;
    let is_about_it = |hold: &Hold| hold.devices.len() == 1 && hold.devices.contains(device);
    Ok(state.holds().values().any(|hold| !hold.is_over(at) && hold.by.as_str() == SERVER && is_about_it(hold)))
}
