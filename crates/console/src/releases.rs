//! Packages with their releases, and one release: files, signatures, what changed since the one before, where it went.

use std::collections::BTreeMap;

use maud::{Markup, html};
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{PackageName, RolloutId, Version};
use tidegate_domain::release::{Activation, FileEntry, Manifest};
use tidegate_domain::time::{Elapsed, WallTime};

use crate::frame::{self, Live, Part, Viewer};
use crate::instants::instant;
use crate::phrases::{count, facts, label, nothing_yet, short};

/// The most files that a page names.
const FILES_MAX: usize = 200;

/// A package in the list.
#[derive(Debug, Clone)]
pub struct PackageLines {
    /// The package.
    pub package: PackageName,
    /// How many of its publishers must sign a release.
    pub threshold: u32,
    /// How many publishers there are.
    pub publishers: usize,
    /// Its releases, the newest first.
    pub releases: Vec<ReleaseLine>,
    /// Older ones that are not shown.
    pub more: usize,
}

/// A release in the list.
#[derive(Debug, Clone)]
pub struct ReleaseLine {
    /// The version.
    pub version: Version,
    /// The release.
    pub release: Digest,
    /// When the server took it.
    pub published_at_ms: WallTime,
    /// The rollout that halted its files, where one did and nobody resumed them.
    pub halted_by: Option<RolloutId>,
}

/// A release.
#[derive(Debug, Clone)]
pub struct ReleasePage {
    /// The release.
    pub release: Digest,
    /// What it is.
    pub manifest: Manifest,
    /// When the server took it.
    pub published_at_ms: WallTime,
    /// The rollout that halted its files, where one did and nobody resumed them.
    pub halted_by: Option<RolloutId>,
    /// The release before it, where there is one.
    pub before: Option<Manifest>,
    /// How many signatures the role that lists it needs.
    pub threshold: u32,
    /// The version and the end of that role.
    pub role: Option<(u64, Option<WallTime>)>,
    /// Whose signatures it carries, and whose it could.
    pub signers: Vec<Signer>,
    /// The rollouts that brought it.
    pub rollouts: Vec<Brought>,
}

/// A publisher's key.
#[derive(Debug, Clone)]
pub struct Signer {
    /// The beginning of its id.
    pub key: String,
    /// Whether it signed.
    pub signed: bool,
    /// Since when it is listed, and how long that is.
    pub listed: Option<(WallTime, Elapsed)>,
}

/// A rollout of a release, with the permits that the gate signed.
#[derive(Debug, Clone)]
pub struct Brought {
    /// The rollout.
    pub rollout: RolloutId,
    /// Its phase.
    pub phase: String,
    /// The permits.
    pub permits: Vec<PermitLine>,
}

/// A permit.
#[derive(Debug, Clone)]
pub struct PermitLine {
    /// Its step.
    pub step: u32,
    /// When it was issued.
    pub issued_at_ms: WallTime,
    /// Places open under it, in all rosters.
    pub places: u64,
}

/// The page of all packages.
pub fn list(packages: &[PackageLines], viewer: Viewer<'_>) -> String {
    let body = html! {
        h1 { "Releases" }
        @if packages.is_empty() {
            (nothing_yet(
                "There is no package yet. A package names who may publish it, and how many of them must sign:",
                &[
                    "tidegate package add NAME --publisher-key publisher-1 --threshold 1",
                    "tidegate release stage NAME 1.0.0 --files DIR --manifest release.toml --out NAME-1.0.0",
                    "tidegate release sign NAME-1.0.0 --key publisher-1",
                    "tidegate release publish NAME-1.0.0",
                ],
            ))
        }
        @for package in packages {
            section {
                h2 { (package.package) }
                p.about { (package.threshold) " of " (package.publishers) " publishers sign a release." }
                @if package.releases.is_empty() { p { "Nothing is published yet." } }
                @else {
                    div.scroll tabindex="0" { table.stacked {
                        thead { tr { th scope="col" { "version" } th scope="col" { "release" } th scope="col" { "published" } th scope="col" { "standing" } } }
                        tbody {
                            @for one in &package.releases {
                                tr {
                                    th scope="row" { a href=(path(&package.package, &one.version)) { (one.version) } }
                                    td { (short(&one.release)) } td { (instant(one.published_at_ms)) } td { (halted(one.halted_by.as_ref())) }
                                }
                            }
                        }
                    } }
                    @if package.more > 0 { p { "and " (package.more) " older ones" } }
                }
            }
        }
    };
    frame::page("Releases", Part::Releases, viewer, Live::No, &body)
}

/// Where a release's page is.
pub fn path(package: &PackageName, version: &Version) -> String {
    // A version may carry a plus, which a path takes as it is.
    format!("/console/releases/{package}/{version}")
}

fn halted(by: Option<&RolloutId>) -> Markup {
    match by {
        Some(by) => html! { (label("halted")) " by " a href=(format!("/console/rollouts/{by}")) { (by) } },
        None => html! { "-" },
    }
}

/// The page of one.
pub fn page(view: &ReleasePage, viewer: Viewer<'_>) -> String {
    let Manifest { package, version, .. } = &view.manifest;
    let title = format!("{package} {version}");
    let body = html! {
        h1 { (title) @if view.halted_by.is_some() { " " (label("halted")) } }
        (about(view))
        (signatures(view))
        (changes(view))
        (files(&view.manifest))
        (spread(view))
    };
    frame::page(&title, Part::Releases, viewer, Live::No, &body)
}

fn about(view: &ReleasePage) -> Markup {
    let manifest = &view.manifest;
    let contracts = |of: &BTreeMap<_, u64>| {
        let words: Vec<String> = of
            .iter()
            .map(|(name, level): (&tidegate_domain::ids::ContractName, _)| format!("{name} {level}"))
            .collect();
        (!words.is_empty()).then(|| html! { (words.join(", ")) })
    };
    let bytes: u64 = manifest.files.iter().map(|file| file.size).sum();
    html! {
        section aria-labelledby="about" {
            h2 id="about" { "What it is" }
            (facts(&[
                ("release", Some(html! { code.long { (view.release) } })),
                ("published", Some(instant(view.published_at_ms))),
                ("files", Some(html! { (manifest.files.len()) ", " (count(bytes)) " bytes" })),
                ("activation", Some(html! { (activation(&manifest.activation)) })),
                ("may be away for", Some(html! { (manifest.downtime) })),
                ("probes", Some(html! { @if manifest.probes.is_empty() { "none: being alive is all" } @else { (manifest.probes.len()) } })),
                ("watched numbers", (!manifest.numbers.is_empty()).then(|| html! { (manifest.numbers.len()) })),
                ("needs", contracts(&manifest.needs)),
                ("offers", contracts(&manifest.offers)),
                ("may break connectivity", manifest.network.then(|| html! { "yes" })),
                ("halted", view.halted_by.as_ref().map(|by| halted(Some(by)))),
            ]))
        }
    }
}

fn activation(activation: &Activation) -> String {
    match activation {
        Activation::Supervise { command } if command.is_empty() => "supervise the device's own command".to_owned(),
        Activation::Supervise { command } => format!("supervise `{}`", command.join(" ")),
        Activation::Restart { command } => format!("restart by `{}`", command.join(" ")),
        Activation::Signal { signal } => format!("signal {signal:?}").to_uppercase().replace("SIGNAL", "signal"),
        Activation::Hook { command } => format!("hook `{}`", command.join(" ")),
        Activation::Agent {} => "the agent itself".to_owned(),
    }
}

fn signatures(view: &ReleasePage) -> Markup {
    let signed = view.signers.iter().filter(|signer| signer.signed).count();
    html! {
        section aria-labelledby="signatures" {
            h2 id="signatures" { "Who signed" }
            p {
                strong { (signed) " of " (view.signers.len()) } " publishers signed the role that lists it; " (view.threshold) " must."
                @if let Some((version, Some(ends))) = view.role { " Version " (version) " of the role, good until " (instant(ends)) "." }
            }
            div.scroll tabindex="0" { table.stacked {
                thead { tr { th scope="col" { "key" } th scope="col" { "signed" } th scope="col" { "listed since" } th scope="col" { "age" } } }
                tbody {
                    @for signer in &view.signers {
                        tr {
                            th scope="row" { code { (signer.key) } } td { span.narrow { "signed: " } @if signer.signed { "yes" } @else { "no" } }
                            @match signer.listed { Some((since, age)) => { td { span.narrow { "listed since " } (instant(since)) } td { (days(age)) } } None => { td { "-" } td { "-" } } }
                        }
                    }
                }
            } }
        }
    }
}

/// How old a key is. TUF dates no key: what is known is since when this server's log lists it.
fn days(age: Elapsed) -> String {
    match age.as_ms() / 86_400_000 {
        0 => "less than a day".to_owned(),
        1 => "1 day".to_owned(),
        more => format!("{} days", count(more)),
    }
}

/// How a file differs from the release before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    Added,
    Changed,
    Removed,
}

/// The files that differ, by path.
fn differing<'a>(
    now: &'a Manifest,
    before: &'a Manifest,
) -> Vec<(&'a str, Change, Option<&'a FileEntry>, Option<&'a FileEntry>)> {
    let by_path = |manifest: &'a Manifest| -> BTreeMap<&'a str, &'a FileEntry> {
        manifest.files.iter().map(|file| (file.path.as_str(), file)).collect()
    };
    let (now, before) = (by_path(now), by_path(before));
    let mut all: Vec<_> = now
        .iter()
        .filter_map(|(path, file)| match before.get(path) {
            None => Some((*path, Change::Added, None, Some(*file))),
            Some(old) if *old != *file => Some((*path, Change::Changed, Some(*old), Some(*file))),
            Some(_) => None,
        })
        .collect();
    all.extend(
        before
            .iter()
            .filter(|(path, _)| !now.contains_key(*path))
            .map(|(path, file)| (*path, Change::Removed, Some(*file), None)),
    );
    all.sort_by_key(|(path, ..)| *path);
    all
}

/// What else differs, in words.
fn other_changes(now: &Manifest, before: &Manifest) -> Vec<String> {
    let mut words = Vec::new();
    let mut differs = |what: &str, same: bool| {
        if !same {
            words.push(what.to_owned());
        }
    };
    differs("activation", now.activation == before.activation);
    differs("probes", now.probes == before.probes);
    differs("watched numbers", now.numbers == before.numbers);
    differs("needs", now.needs == before.needs);
    differs("offers", now.offers == before.offers);
    differs("the time that it may be away", now.downtime == before.downtime);
    differs("whether it may break connectivity", now.network == before.network);
    words
}

fn changes(view: &ReleasePage) -> Markup {
    let Some(before) = &view.before else {
        return html! { section aria-labelledby="changes" { h2 id="changes" { "Since the release before" } p { "It is the package's first release." } } };
    };
    let files = differing(&view.manifest, before);
    let others = other_changes(&view.manifest, before);
    let size = |file: Option<&FileEntry>| file.map_or_else(|| "-".to_owned(), |file| count(file.size));
    html! {
        section aria-labelledby="changes" {
            h2 id="changes" { "Since " (before.version) }
            @if files.is_empty() { p { "The same files." } }
            @else {
                div.scroll tabindex="0" { table {
                    thead { tr { th scope="col" { "file" } th scope="col" { "change" } th scope="col" { "bytes before" } th scope="col" { "bytes now" } } }
                    tbody {
                        @for (path, change, old, new) in files.iter().take(FILES_MAX) {
                            tr {
                                th scope="row" { code { (path) } }
                                td { @match change { Change::Added => span.added { "added" }, Change::Changed => "changed", Change::Removed => span.removed { "removed" } } }
                                td.number { (size(*old)) } td.number { (size(*new)) }
                            }
                        }
                    }
                } }
                @if files.len() > FILES_MAX { p { "and " (files.len() - FILES_MAX) " more" } }
            }
            @if !others.is_empty() { p { "Also changed: " (others.join(", ")) "." } }
        }
    }
}

fn files(manifest: &Manifest) -> Markup {
    html! {
        section aria-labelledby="files" {
            h2 id="files" { "Files" }
            div.scroll tabindex="0" { table {
                thead { tr { th scope="col" { "file" } th scope="col" { "bytes" } th scope="col" { "SHA-256" } } }
                tbody {
                    @for file in manifest.files.iter().take(FILES_MAX) {
                        tr { th scope="row" { code { (file.path.as_str()) } @if file.executable { " (program)" } } td.number { (count(file.size)) } td { code.long { (file.sha256) } } }
                    }
                }
            } }
            @if manifest.files.len() > FILES_MAX { p { "and " (manifest.files.len() - FILES_MAX) " more" } }
        }
    }
}

fn spread(view: &ReleasePage) -> Markup {
    html! {
        section aria-labelledby="spread" {
            h2 id="spread" { "Where it went" }
            @if view.rollouts.is_empty() {
                (nothing_yet("No order has started it yet:", &[&format!(
                    "tidegate rollout start {} {} --policy NAME@DIGEST --key order", view.manifest.package, view.manifest.version
                )]))
            }
            @for one in &view.rollouts {
                h3 { a href=(format!("/console/rollouts/{}", one.rollout)) { (one.rollout) } " " (label(&one.phase)) }
                @if one.permits.is_empty() { p { "No permit was signed." } }
                @else {
                    div.scroll tabindex="0" { table {
                        thead { tr { th scope="col" { "permit" } th scope="col" { "signed" } th scope="col" { "places open under it" } } }
                        tbody { @for permit in &one.permits { tr { th scope="row" { (permit.step) } td { (instant(permit.issued_at_ms)) } td.number { (count(permit.places)) } } } }
                    } }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn manifest(files: &[(&str, &str)], downtime: &str) -> Manifest {
        let files: Vec<String> = files
            .iter()
            .map(|(path, content)| {
                format!(
                    r#"{{"path": "{path}", "sha256": "{}", "size": {}}}"#,
                    Digest::of(content.as_bytes()),
                    content.len()
                )
            })
            .collect();
        let text = format!(
            r#"{{"package": "p", "version": "1", "files": [{}], "activation": {{"kind": "supervise"}}, "downtime": "{downtime}"}}"#,
            files.join(",")
        );
        Manifest::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn a_release_says_what_is_new_changed_and_gone() {
        let before = manifest(&[("a", "1"), ("b", "2"), ("c", "3")], "1s");
        let now = manifest(&[("a", "1"), ("b", "22"), ("d", "4")], "2s");
        let found: Vec<_> = differing(&now, &before).iter().map(|(path, change, ..)| (*path, *change)).collect();
        assert_eq!(found, [("b", Change::Changed), ("c", Change::Removed), ("d", Change::Added)]);
        assert_eq!(other_changes(&now, &before), ["the time that it may be away"]);
        assert!(differing(&now, &now).is_empty() && other_changes(&now, &now).is_empty());
    }
}
