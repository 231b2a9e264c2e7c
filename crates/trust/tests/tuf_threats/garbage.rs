//! Bytes that mean nothing, or nearly what they should: never a panic, never more trust.

use proptest::prelude::*;
use tidegate_trust::tuf::Unverified;
use tidegate_trust::tuf::client::{Answer, Client, Step};
use tidegate_trust::tuf::repository::{PackageRole, RootRole, SnapshotRole, TargetsRole, TimestampRole};

use super::bench::*;

fn parse_as_everything(bytes: &[u8]) {
    let _ = Unverified::<RootRole>::parse(bytes);
    let _ = Unverified::<TargetsRole>::parse(bytes);
    let _ = Unverified::<PackageRole>::parse(bytes);
    let _ = Unverified::<SnapshotRole>::parse(bytes);
    let _ = Unverified::<TimestampRole>::parse(bytes);
    let _ = Client::new(bytes, [app()]);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..512)) {
        parse_as_everything(&bytes);
    }

    #[test]
    fn a_mutated_or_cut_file_never_panics_and_never_shows_another_release(
        file in 0_usize..5,
        edits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
        keep in any::<prop::sample::Index>(),
        cut in any::<bool>(),
    ) {
        let mut bench = Bench::new();
        let name = bench.files.keys().nth(file).cloned().unwrap();
        let mut bytes = bench.files[&name].clone();
        for (place, byte) in &edits {
            let place = place.index(bytes.len());
            bytes[place] = *byte;
        }
        if cut {
            bytes.truncate(keep.index(bytes.len()));
        }
        parse_as_everything(&bytes);
        let mut client = bench.client();
        bench.put(name.clone(), &bytes);
        let _ = bench.serve(&mut client, NOW_MS);
        if let Ok(info) = client.target(&path("app/1.json"), NOW_MS) {
            prop_assert_eq!(info, manifest(1));
        }
        prop_assert!(client.releases(&app(), NOW_MS).map_or(true, |releases| releases.len() == 1));
        let stored = Bench::new().refreshed().metadata_files().into_iter().map(|(stored, good)| {
            let tampered = stored.ends_with("app.json") && name.ends_with("app.json") || stored == name;
            (stored, if tampered { bytes.clone() } else { good })
        });
        let resumed = Client::resume(Bench::new().pinned(), [app()], stored).unwrap();
        prop_assert!(resumed.target(&path("app/1.json"), NOW_MS).map_or(true, |info| info == manifest(1)));
    }

    #[test]
    fn any_sequence_of_answers_ends_without_a_panic(
        answers in proptest::collection::vec((0_usize..7, any::<bool>()), 0..40),
        now_ms in any::<u64>(),
    ) {
        let bench = Bench::new();
        let files: Vec<Vec<u8>> = bench.files.values().cloned().collect();
        let mut client = bench.client();
        for (index, ask) in answers {
            if ask && matches!(client.next(now_ms), Step::Done(_)) {
                break;
            }
            client.feed(files.get(index).cloned().map_or(Answer::NotFound, Answer::Bytes));
        }
        prop_assert!(client.target(&path("app/1.json"), NOW_MS).map_or(true, |info| info == manifest(1)));
    }
}
