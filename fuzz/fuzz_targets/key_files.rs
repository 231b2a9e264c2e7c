//! Key files, credentials, device keys and references to keys: what is no such file is refused, and a file that was changed does
//! not unlock.
#![no_main]

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use tempfile::TempDir;
use tidegate_fuzz::{bounded, folder, seed};
use tidegate_keyring::{Credential, KeyFile, KeyReference, Seal, SealKind, Secret, Signer as _, device_key};

struct Bench {
    _folder: TempDir,
    path: PathBuf,
    secret: Secret,
    public_key: [u8; 32],
    files: [Vec<u8>; 3],
}

static BENCH: LazyLock<Bench> = LazyLock::new(|| {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let credential = Credential::create(&at("credential")).unwrap();
    let key = KeyFile::create(folder.path(), "gate", "gate", &Seal::Credential(credential.recipient())).unwrap();
    device_key::load_or_create(&at("device")).unwrap();
    let files = ["gate.key", "credential", "device"].map(|name| fs::read(at(name)).unwrap());
    let (path, public_key) = (at("fuzzed"), key.public_key());
    fs::write(&path, "").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
    Bench { _folder: folder, path, secret: Secret::Credential(credential), public_key, files }
});

fuzz_target!(
    init: {
        BENCH.files.iter().enumerate().for_each(|(n, file)| seed(&n.to_string(), file));
        seed("reference", "pkcs11:module-path=/m.so;token=t%20x;object=o;pin-env=PIN");
    },
    |data: &[u8]| {
        let bench = &*BENCH;
        fs::write(&bench.path, data).unwrap();
        if let Ok(file) = bounded(data.len(), || KeyFile::read(&bench.path)) {
            assert!(!file.name().is_empty() && file.name().len() <= 64 && file.purpose().len() <= 64);
            assert!(data.len() <= 16 * 1024);
            if file.sealed_by() == SealKind::Credential
                && let Ok(key) = file.unlock(&bench.secret)
            {
                let label = (file.name(), file.purpose(), key.public_key());
                assert_eq!(label, ("gate", "gate", bench.public_key), "a relabelled file unlocks");
            }
        }
        let _ = bounded(data.len(), || Credential::read(&bench.path).map(|credential| credential.recipient()));
        if device_key::load(&bench.path).is_ok() {
            assert_eq!(data.len(), bench.files[2].len());
        }
        if let Ok(text) = std::str::from_utf8(data)
            && let Ok(reference) = bounded(data.len(), || text.parse::<KeyReference>())
        {
            assert!(!text.contains('\0') && text.len() <= 4_096);
            let _ = reference.to_string();
        }
    }
);
