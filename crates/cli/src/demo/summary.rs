//! The figures of the demo, side by side.

use serde::Serialize;

use crate::output::table;

/// What a bad release did to a fleet behind Tidegate.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Outcome {
    /// Devices in the fleet.
    pub(super) devices: u32,
    /// Places that were open before any proof of the release.
    pub(super) first_window: u32,
    /// Devices that took it and failed or fell silent.
    pub(super) harmed: u32,
    /// Seconds from the signed order to the halt.
    pub(super) halt_s: f64,
    /// Of the harmed, those back on their fallback by themselves.
    pub(super) back_without_hands: u32,
    /// Of the harmed, those that somebody must mend.
    pub(super) need_hands: u32,
}

/// What it did where nothing stood between vendor and devices.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Unguarded {
    /// Devices in the fleet.
    pub(super) devices: u32,
    /// Devices whose payload crashes.
    pub(super) harmed: u32,
    /// Of these, those that came back by themselves.
    pub(super) back_without_hands: u32,
    /// Of these, those that somebody must mend.
    pub(super) need_hands: u32,
}

/// The whole demo.
pub(super) struct Summary {
    /// The bad release that the lab meets.
    pub(super) tidegate: Outcome,
    /// The one that the lab misses.
    pub(super) missed_by_lab: Outcome,
    /// The same without a gate.
    pub(super) everyone_at_once: Unguarded,
}

/// What `--json` prints.
#[derive(Serialize)]
pub(super) struct Figures<'a> {
    tidegate: &'a Outcome,
    everyone_at_once: &'a Unguarded,
}

impl Outcome {
    /// One sentence.
    pub(super) fn in_words(&self) -> String {
        format!(
            "{} of {} devices harmed after {:.1} s; {} back on their fallback without hands, {} need hands; the other {} never saw it.",
            self.harmed,
            self.devices,
            self.halt_s,
            self.back_without_hands,
            self.need_hands,
            self.devices.saturating_sub(self.harmed),
        )
    }
}

impl Summary {
    /// What `--json` prints.
    pub(super) fn figures(&self) -> Figures<'_> {
        Figures { tidegate: &self.tidegate, everyone_at_once: &self.everyone_at_once }
    }

    /// The side by side for people.
    pub(super) fn table(&self) -> String {
        let mut table = table(&["the same bad file", "Tidegate", "Tidegate, missed by the lab", "everyone at once"]);
        let (seen, missed, all) = (&self.tidegate, &self.missed_by_lab, &self.everyone_at_once);
        let row = |what: &str, seen: String, missed: String, all: String| vec![what.to_owned(), seen, missed, all];
        let count = |n: u32| n.to_string();
        table.add_row(row("devices", count(seen.devices), count(missed.devices), count(all.devices)));
        table.add_row(row("harmed", count(seen.harmed), count(missed.harmed), count(all.harmed)));
        let seconds = |s: f64| format!("{s:.1}");
        table.add_row(row("seconds to halt", seconds(seen.halt_s), seconds(missed.halt_s), "never".to_owned()));
        let back = (count(seen.back_without_hands), count(missed.back_without_hands), count(all.back_without_hands));
        table.add_row(row("back without hands", back.0, back.1, back.2));
        let hands = (count(seen.need_hands), count(missed.need_hands), count(all.need_hands));
        table.add_row(row("need hands", hands.0, hands.1, hands.2));
        format!("\n{table}")
    }
}
