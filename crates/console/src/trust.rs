//! Trust: which keys may sign what and until when, the envelope that no policy may leave, what runs out soon, and what is not in force.

use maud::{Markup, html};
use tidegate_domain::digest::Digest;
use tidegate_domain::time::WallTime;

use crate::frame::{self, Live, Part, Viewer};
use crate::instants::instant;
use crate::phrases::facts;

/// What this fleet trusts.
#[derive(Debug, Clone)]
pub struct TrustPage {
    /// The fleet: digest of TUF root 1.
    pub fleet: Digest,
    /// Whether P4 is in force, in words.
    pub p4: String,
    /// What should be looked after, the most pressing first.
    pub alerts: Vec<String>,
    /// The TUF roles.
    pub roles: Vec<RoleLine>,
    /// The version of the key list.
    pub key_list: u64,
    /// The keys.
    pub keys: Vec<KeyLine>,
    /// The envelope: name, version, text.
    pub envelope: (String, u64, String),
}

/// A TUF role.
#[derive(Debug, Clone)]
pub struct RoleLine {
    /// The role.
    pub role: String,
    /// Its version.
    pub version: u64,
    /// Until when it is good.
    pub expires_at_ms: Option<WallTime>,
    /// How many must sign it, of how many.
    pub threshold: Option<(u32, usize)>,
    /// Whether its end is near or past.
    pub pressing: bool,
}

/// A key of the key list.
#[derive(Debug, Clone)]
pub struct KeyLine {
    /// The beginning of its id.
    pub key: String,
    /// Who holds it.
    pub holder: String,
    /// What it may sign.
    pub scopes: Vec<String>,
    /// Since when.
    pub not_before_ms: WallTime,
    /// Until when.
    pub not_after_ms: WallTime,
    /// `in force`, `not yet`, `past its life` or `ends soon`.
    pub state: &'static str,
}

/// The page.
pub fn page(view: &TrustPage, viewer: Viewer<'_>) -> String {
    let (name, version, text) = &view.envelope;
    let body = html! {
        h1 { "Trust" }
        p.p4.notice { strong { "P4 " (view.p4) "." } " Until auditors countersign permits, the gate key alone opens places behind the first window." }
        (alerts(&view.alerts))
        section aria-labelledby="fleet" {
            h2 id="fleet" { "The fleet" }
            (facts(&[("root 1", Some(html! { code.long { (view.fleet) } })), ("key list", Some(html! { "version " (view.key_list) }))]))
        }
        (keys(&view.keys))
        (browser_key())
        (roles(&view.roles))
        section aria-labelledby="envelope" {
            h2 id="envelope" { "The envelope " (name) ", version " (version) }
            p { "No policy and no approval leaves these bounds; devices refuse whatever does." }
            pre tabindex="0" { (text) }
        }
    };
    frame::page("Trust", Part::Trust, viewer, Live::No, &body)
}

fn alerts(all: &[String]) -> Markup {
    html! {
        section aria-labelledby="alerts" {
            h2 id="alerts" { "To look after" }
            @if all.is_empty() { p { "Nothing: no key and no role that people sign ends within thirty days. The server renews snapshot and timestamp itself." } }
            @else { ul.alerts { @for one in all { li { (one) } } } }
        }
    }
}

fn keys(all: &[KeyLine]) -> Markup {
    html! {
        section aria-labelledby="keys" {
            h2 id="keys" { "Keys" }
            div.scroll tabindex="0" { table.stacked {
                thead { tr {
                    th scope="col" { "key" } th scope="col" { "holder" } th scope="col" { "may sign" } th scope="col" { "since" } th scope="col" { "until" } th scope="col" { "now" }
                } }
                tbody {
                    @for key in all {
                        tr {
                            th scope="row" { code { (key.key) } } td { (key.holder) } td { (key.scopes.join(", ")) }
                            td { span.narrow { "from " } (instant(key.not_before_ms)) } td { span.narrow { "until " } (instant(key.not_after_ms)) }
                            td class=(if key.state == "in force" { "" } else { "harmed" }) { (key.state) }
                        }
                    }
                }
            } }
        }
    }
}

/// The key that this browser holds; it needs the script, and is not shown without.
fn browser_key() -> Markup {
    html! {
        section id="browser-key" aria-labelledby="browser-key-title" hidden {
            h2 id="browser-key-title" { "This browser's key" }
            p { "Approvals are signed by an approver's own key. It may lie in a file or on a token, for " code { "tidegate rollout approve" } ", or in this browser, which makes it and gives it to nobody. Whoever serves this page could still have it sign: who does not trust this server that far uses a file or a token." }
            div data-none="" { p { "This browser holds none." } button type="button" data-make="" { "Make a key" } }
            div data-held="" hidden {
                p { "Its public half: " code.long data-public="" {} }
                p { "Whoever holds root's keys lists it, after you have told them its digits on another way than this:" }
                pre tabindex="0" { "tidegate trust key add " span data-public="" {} " --holder YOU --scope approve --root-key root-1" }
                button type="button" data-forget="" { "Forget it" }
            }
            p.harmed data-problem="" role="status" {}
        }
    }
}

fn roles(all: &[RoleLine]) -> Markup {
    html! {
        section aria-labelledby="roles" {
            h2 id="roles" { "Metadata (TUF)" }
            div.scroll tabindex="0" { table.stacked {
                thead { tr { th scope="col" { "role" } th scope="col" { "version" } th scope="col" { "must sign" } th scope="col" { "good until" } } }
                tbody {
                    @for role in all {
                        tr {
                            th scope="row" { (role.role) } td.number { span.narrow { "version " } (role.version) }
                            td { @if let Some((threshold, of)) = role.threshold { (threshold) " of " (of) } @else { "the server" } }
                            td class=(if role.pressing { "harmed" } else { "" }) { @match role.expires_at_ms { Some(at) => { span.narrow { "good until " } (instant(at)) }, None => "-" } @if role.threshold.is_none() { ", renewed before" } }
                        }
                    }
                }
            } }
        }
    }
}
