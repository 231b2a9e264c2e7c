//! Key files: what unlocks them, what they give away, what damage does. Real files throughout.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::sync::Barrier;

use ed25519_dalek::Signature;
use proptest::prelude::*;
use tempfile::TempDir;

use super::*;
use crate::credential::Credential;

const PASSPHRASE: &str = "five random words of it";

fn cheap_seal() -> Seal {
    Seal::Passphrase { passphrase: PASSPHRASE.into(), work_factor: WorkFactor::MIN }
}

fn right_secret() -> Secret {
    Secret::Passphrase(PASSPHRASE.into())
}

struct CredentialCase {
    directory: TempDir,
    secret: Secret,
    file: KeyFile,
}

/// A key sealed to a credential: unlocking is cheap, so these can be tried by the hundred.
fn credential_case() -> CredentialCase {
    let directory = tempfile::tempdir().unwrap();
    let credential = Credential::create(&directory.path().join("credential")).unwrap();
    let seal = Seal::Credential(credential.recipient());
    let file = KeyFile::create(directory.path(), "gate-1", "gate", &seal).unwrap();
    CredentialCase { directory, secret: Secret::Credential(credential), file }
}

#[test]
fn a_key_sealed_by_a_passphrase_unlocks_and_its_signatures_verify_strictly() {
    let directory = tempfile::tempdir().unwrap();
    let made = KeyFile::create(directory.path(), "alice", "publisher", &cheap_seal()).unwrap();
    let read = KeyFile::read(&directory.path().join("alice.key")).unwrap();
    assert_eq!((read.name(), read.purpose()), ("alice", "publisher"));
    assert_eq!(read.public_key(), made.public_key());
    assert_eq!(read.sealed_by(), SealKind::Passphrase);
    let key = read.unlock(&right_secret()).unwrap();
    assert_eq!(key.key_id(), made.key_id());
    let signature = Signature::from_bytes(&key.sign(b"order").unwrap());
    let public_key = VerifyingKey::from_bytes(&made.public_key()).unwrap();
    public_key.verify_strict(b"order", &signature).unwrap();
}

#[test]
fn a_wrong_passphrase_or_the_wrong_kind_of_secret_unlocks_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let file = KeyFile::create(directory.path(), "alice", "publisher", &cheap_seal()).unwrap();
    let wrong = Secret::Passphrase("five random words of its".into());
    assert_eq!(file.unlock(&wrong).unwrap_err().kind(), "wrong_secret");
    let case = credential_case();
    assert_eq!(file.unlock(&case.secret).unwrap_err().kind(), "wrong_kind_of_secret");
    assert_eq!(case.file.unlock(&right_secret()).unwrap_err().kind(), "wrong_kind_of_secret");
    let other = Credential::create(&directory.path().join("other")).unwrap();
    let error = case.file.unlock(&Secret::Credential(other)).unwrap_err();
    assert_eq!(error.kind(), "wrong_secret");
}

#[test]
fn a_killed_server_comes_back_alone_with_its_credential_file() {
    let case = credential_case();
    let credential = Credential::read(&case.directory.path().join("credential")).unwrap();
    let file = KeyFile::read(case.file.path()).unwrap();
    let key = file.unlock(&Secret::Credential(credential)).unwrap();
    assert_eq!(key.public_key(), case.file.public_key());
}

#[test]
fn the_file_holds_neither_the_seed_nor_the_passphrase() {
    let case = credential_case();
    let plaintext = sealing::unseal::<SEALED_BYTES>(&case.file.sealed, &case.secret).unwrap();
    let seed = &plaintext[..32];
    let bytes = fs::read(case.file.path()).unwrap();
    let text = String::from_utf8(bytes.clone()).unwrap();
    assert!(!bytes.windows(32).any(|window| window == seed));
    assert!(!text.contains(&hex::encode(seed)));
    let unarmored = case.file.sealed.lines().filter(|l| !l.starts_with('-')).collect::<String>();
    assert!(!unarmored.contains(&hex::encode(seed)));

    let sealed = KeyFile::create(case.directory.path(), "alice", "publisher", &cheap_seal()).unwrap();
    assert!(!fs::read_to_string(sealed.path()).unwrap().contains(PASSPHRASE));
}

#[test]
fn debug_and_errors_hold_no_secret() {
    let case = credential_case();
    let plaintext = sealing::unseal::<SEALED_BYTES>(&case.file.sealed, &case.secret).unwrap();
    let key = case.file.unlock(&case.secret).unwrap();
    let Secret::Credential(credential) = &case.secret else { unreachable!() };
    let identity = secrecy::ExposeSecret::expose_secret(&credential.identity().to_string()).to_owned();
    let directory = tempfile::tempdir().unwrap();
    let seal = cheap_seal();
    let by_passphrase = KeyFile::create(directory.path(), "alice", "publisher", &seal).unwrap();
    let mut shown = format!("{:?} {:?} {key:?} {seal:?}", case.file, case.secret);
    for error in [
        case.file.unlock(&right_secret()).unwrap_err(),
        by_passphrase.unlock(&case.secret).unwrap_err(),
        by_passphrase.unlock(&Secret::Passphrase("another phrase".into())).unwrap_err(),
    ] {
        shown.push_str(&format!("{error} {error:?}"));
    }
    for wrong_file in [identity.clone(), format!("{{\"format\":\"{PASSPHRASE}\"}}")] {
        let error = KeyFile::parse(Path::new("x"), wrong_file.as_bytes()).unwrap_err();
        shown.push_str(&format!("{error} {error:?}"));
    }
    for secret in
        [PASSPHRASE, "another phrase", &identity, &hex::encode(&plaintext[..32]), &format!("{:?}", &plaintext[..32])]
    {
        assert!(!shown.contains(secret), "{shown}");
    }
}

#[test]
fn a_relabelled_file_does_not_unlock() {
    let case = credential_case();
    let text = fs::read_to_string(case.file.path()).unwrap();
    let other = KeyFile::create(
        case.directory.path(),
        "other",
        "gate",
        &Seal::Credential(match &case.secret {
            Secret::Credential(credential) => credential.recipient(),
            Secret::Passphrase(_) => unreachable!(),
        }),
    )
    .unwrap();
    for (from, to) in [
        ("gate-1", "gate-2".to_owned()),
        ("\"gate\"", "\"publisher\"".to_owned()),
        (&hex::encode(case.file.public_key()), hex::encode(other.public_key())),
    ] {
        let changed = text.replace(from, &to);
        assert_ne!(changed, text);
        let file = KeyFile::parse(case.file.path(), changed.as_bytes()).unwrap();
        assert_eq!(file.unlock(&case.secret).unwrap_err().kind(), "relabelled");
    }
}

#[test]
fn every_truncation_is_refused() {
    let case = credential_case();
    let bytes = fs::read(case.file.path()).unwrap();
    // The last byte is the closing newline, which means nothing.
    for length in 0..bytes.len() - 1 {
        let error = KeyFile::parse(case.file.path(), &bytes[..length]).unwrap_err();
        assert_eq!(error.kind(), "malformed_key_file");
    }
}

#[test]
fn unknown_fields_other_formats_and_oversize_are_refused() {
    let case = credential_case();
    let text = fs::read_to_string(case.file.path()).unwrap();
    let path = case.directory.path().join("changed.key");
    for (from, to, kind) in [
        ("\"name\"", "\"extra\": 1, \"name\"".to_owned(), "malformed_key_file"),
        ("\"name\": \"gate-1\",", String::new(), "malformed_key_file"),
        ("\"name\"", "\"name\": \"twice\", \"name\"".to_owned(), "malformed_key_file"),
        ("gate-1", "../gate-1".to_owned(), "malformed_key_file"),
        ("gate-1", "g".repeat(65), "malformed_key_file"),
        ("\"public_key\": \"", "\"public_key\": \"00".to_owned(), "malformed_key_file"),
        (&hex::encode(case.file.public_key()), "0".repeat(64), "malformed_key_file"),
        ("-----BEGIN AGE", "-----BEGIN PGP".to_owned(), "malformed_key_file"),
        ("\"format\": 1", "\"format\": 2, \"later\": true".to_owned(), "key_file_format"),
        ("gate-1", "g".repeat(17_000), "too_large"),
    ] {
        let changed = text.replace(from, &to);
        assert_ne!(changed, text);
        fs::write(&path, changed).unwrap();
        let error = KeyFile::read(&path).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains("changed.key"));
    }
}

#[test]
fn bad_names_and_short_passphrases_write_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let long = "n".repeat(65);
    for name in ["", "..", ".hidden", "-x", "a/b", "A", "a b", "ä", "a\0b", &long] {
        let error = KeyFile::create(directory.path(), name, "gate", &cheap_seal()).unwrap_err();
        assert_eq!(error.kind(), "label");
        let error = KeyFile::create(directory.path(), "fine", name, &cheap_seal()).unwrap_err();
        assert!(error.to_string().starts_with("purpose"));
    }
    let short = Seal::passphrase("eleven char".into());
    let error = KeyFile::create(directory.path(), "fine", "gate", &short).unwrap_err();
    assert_eq!(error.kind(), "short_passphrase");
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[test]
fn of_two_creators_at_once_one_wins_and_its_key_stands() {
    let directory = tempfile::tempdir().unwrap();
    let credential = Credential::create(&directory.path().join("credential")).unwrap();
    let seal = Seal::Credential(credential.recipient());
    let secret = Secret::Credential(credential);
    for round in 0..20 {
        let name = format!("gate-{round}");
        let barrier = Barrier::new(2);
        let attempt = || {
            barrier.wait();
            KeyFile::create(directory.path(), &name, "gate", &seal)
        };
        let outcomes = std::thread::scope(|scope| {
            let threads = [scope.spawn(attempt), scope.spawn(attempt)];
            threads.map(|thread| thread.join().unwrap())
        });
        let (won, lost): (Vec<_>, Vec<_>) = outcomes.into_iter().partition(Result::is_ok);
        assert_eq!((won.len(), lost.len()), (1, 1));
        assert_eq!(lost[0].as_ref().unwrap_err().kind(), "already_exists");
        let read = KeyFile::read(&directory.path().join(format!("{name}.key"))).unwrap();
        assert_eq!(read.public_key(), won[0].as_ref().unwrap().public_key());
        read.unlock(&secret).unwrap();
    }
}

#[cfg(unix)]
#[test]
fn a_key_file_is_made_0600() {
    use std::os::unix::fs::PermissionsExt;
    let case = credential_case();
    assert_eq!(fs::metadata(case.file.path()).unwrap().permissions().mode() & 0o7777, 0o600);
}

proptest! {
    #[test]
    fn garbage_is_an_error_and_never_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        prop_assert!(KeyFile::parse(Path::new("x"), &bytes).is_err());
    }

    #[test]
    fn a_garbled_sealed_part_is_an_error_and_never_a_panic(
        stanzas in "(-> [a-zA-Z0-9 ]{1,40}\n[A-Za-z0-9+/]{0,43}\n){0,3}",
        mac in "[A-Za-z0-9+/]{42,43}",
        rest in prop::collection::vec(any::<u8>(), 0..80),
    ) {
        let mut inner = format!("age-encryption.org/v1\n{stanzas}--- {mac}\n").into_bytes();
        inner.extend_from_slice(&rest);
        let format = age::armor::Format::AsciiArmor;
        let mut armor = age::armor::ArmoredWriter::wrap_output(Vec::new(), format).unwrap();
        std::io::Write::write_all(&mut armor, &inner).unwrap();
        let sealed = String::from_utf8(armor.finish().unwrap()).unwrap();
        for secret in [
            right_secret(),
            Secret::Credential(Credential::create(&tempfile::tempdir().unwrap().path().join("c")).unwrap()),
        ] {
            prop_assert!(sealing::unseal::<SEALED_BYTES>(&sealed, &secret).is_err());
        }
        let cut = sealed.get(..sealed.len() / 2).unwrap();
        prop_assert_eq!(sealing::seal_kind(cut), None);
    }
}

#[test]
fn every_changed_byte_of_a_file_is_refused_or_means_the_same() {
    let case = credential_case();
    let bytes = fs::read(case.file.path()).unwrap();
    for index in 0..bytes.len() {
        let mut changed = bytes.clone();
        changed[index] ^= 1;
        // Whitespace may change without changing what the document says; nothing else may.
        if let Ok(file) = KeyFile::parse(case.file.path(), &changed)
            && let Ok(key) = file.unlock(&case.secret)
        {
            assert!(bytes[index].is_ascii_whitespace(), "byte {index}");
            assert_eq!(key.public_key(), case.file.public_key());
        }
    }
}
