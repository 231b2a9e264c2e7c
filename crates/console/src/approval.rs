//! Approving a ring with the key that this browser holds: what is let open, in words, and what is signed.

use maud::html;
use tidegate_domain::ids::{PackageName, RingName, RolloutId, Version};
use tidegate_domain::time::WallTime;

use crate::frame::{self, Live, Part, Viewer};
use crate::instants::instant;
use crate::phrases::of_many;

/// What an approver would sign to let a ring open.
#[derive(Debug, Clone)]
pub struct ApprovalPage {
    /// The rollout.
    pub rollout: RolloutId,
    /// The package.
    pub package: PackageName,
    /// The version.
    pub version: Version,
    /// The ring.
    pub ring: RingName,
    /// Its places.
    pub places: u32,
    /// When it ends.
    pub expires_at_ms: WallTime,
    /// The bytes to sign: canonical JSON.
    pub bytes: Vec<u8>,
}

/// The page.
pub fn page(view: &ApprovalPage, viewer: Viewer<'_>) -> String {
    let bytes = view.bytes.iter().fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
    let path = format!("/console/rollouts/{}", view.rollout);
    let body = html! {
        p { a href=(path) { (view.rollout) } }
        h1 { "Ring " (view.ring) " of " (view.package) " " (view.version) }
        p {
            "This lets ring " (view.ring) " open, up to " (of_many(u64::from(view.places), "place", "places"))
            ", inside its windows and as fast as proofs come in; the ring must be reached before " (instant(view.expires_at_ms))
            ". Who joins later is asked for again. An approver's own key signs it, never the one that ordered."
        }
        noscript { p { "Without scripts a key in a file signs: " code { "tidegate rollout approve " (view.rollout) " --ring " (view.ring) " --key approver-1" } } }
        form.act id="approval" method="post" action=(format!("{path}/approve")) data-bytes=(bytes) hidden {
            details { summary { "What is signed" } pre tabindex="0" data-signed="" {} }
            input type="hidden" name="body" value=(String::from_utf8_lossy(&view.bytes));
            input type="hidden" name="key" value=""; input type="hidden" name="sig" value="";
            label { "Why (for the log)" input name="reason" required maxlength="500"; }
            button type="submit" disabled { "Sign and approve" }
            p.harmed data-problem="" role="status" {}
        }
    };
    frame::page(&format!("Approve {}", view.ring), Part::Rollouts, viewer, Live::No, &body)
}
