//! Keys on a real PKCS#11 token: Debian's SoftHSM 2. Without it these tests say so and pass.
//!
//! The module reads its configuration from the environment when it is loaded, so the test runs
//! itself again in a process that has it, on a token made for that run alone.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use cryptoki::context::Pkcs11;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::Attribute;
use cryptoki::session::Session;
use cryptoki::slot::Slot;
use ed25519_dalek::{Signature, VerifyingKey};
use secrecy::SecretString;
use tidegate_keyring::{KeyReference, Pkcs11Address, Pkcs11Key, SecretSource, Signer};

const MODULE: &str = "/usr/lib/softhsm/libsofthsm2.so";
const TOKEN: &str = "tidegate test";
const PIN: &str = "93847561";
/// Set in the process that has the token's configuration.
const ON_TOKEN: &str = "TIDEGATE_TEST_ON_TOKEN";

#[test]
fn a_key_on_a_real_token_is_made_found_and_signs() {
    if env::var_os(ON_TOKEN).is_some() {
        on_the_token();
        return;
    }
    if !Path::new(MODULE).exists() {
        // Written past the test runner, which would swallow the output of a test that passes.
        let note = format!("SKIPPED: there is no {MODULE}; to run this: apt-get install softhsm2\n");
        std::io::stderr().write_all(note.as_bytes()).unwrap();
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let tokens = directory.path().join("tokens");
    fs::create_dir(&tokens).unwrap();
    let configuration = directory.path().join("softhsm2.conf");
    fs::write(&configuration, format!("directories.tokendir = {}\nlog.level = ERROR\n", tokens.display())).unwrap();
    let made = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", TOKEN, "--pin", PIN, "--so-pin", "87654321"])
        .env("SOFTHSM2_CONF", &configuration)
        .output()
        .unwrap();
    assert!(made.status.success(), "{made:?}");
    let run = Command::new(env::current_exe().unwrap())
        .args(["--exact", "a_key_on_a_real_token_is_made_found_and_signs", "--nocapture"])
        .env("SOFTHSM2_CONF", &configuration)
        .env(ON_TOKEN, "1")
        .env("TIDEGATE_TEST_PIN", PIN)
        .output()
        .unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{said}");
    assert!(said.contains("signed on the token"), "{said}");
}

fn address(key_label: &str) -> Pkcs11Address {
    Pkcs11Address { module_path: MODULE.into(), token_label: TOKEN.into(), key_label: key_label.into() }
}

fn pin() -> SecretString {
    PIN.into()
}

fn on_the_token() {
    wrong_pin_token_and_key_are_named();
    let key = Pkcs11Key::generate(address("gate"), pin()).unwrap();
    signs(&key);
    println!("signed on the token");
    let again = Pkcs11Key::open(address("gate"), pin()).unwrap();
    assert_eq!(again.key_id(), key.key_id());
    an_existing_key_is_not_overwritten(&key);
    a_reference_opens_it(&key);
    many_threads_sign_with_one_key(&key);
    a_lost_session_is_opened_again(&key);
    a_key_of_another_kind_is_refused();
    a_pin_refused_after_a_loss_is_not_given_again(&key);
    assert!(!format!("{key:?}").contains(PIN));
}

fn signs(key: &dyn Signer) {
    let public_key = VerifyingKey::from_bytes(&key.public_key()).unwrap();
    for bytes in [b"".as_slice(), b"permit", &[7; 100_000]] {
        let signature = Signature::from_bytes(&key.sign(bytes).unwrap());
        public_key.verify_strict(bytes, &signature).unwrap();
    }
}

fn wrong_pin_token_and_key_are_named() {
    let error = Pkcs11Key::open(address("gate"), "00000000".into()).unwrap_err();
    assert_eq!(error.kind(), "wrong_pin");
    assert!(!format!("{error} {error:?}").contains("00000000"));
    let elsewhere = Pkcs11Address { token_label: "elsewhere".into(), ..address("gate") };
    let error = Pkcs11Key::open(elsewhere, pin()).unwrap_err();
    assert_eq!(error.kind(), "no_token");
    assert!(error.to_string().contains(TOKEN), "{error}");
    let error = Pkcs11Key::open(address("gate"), pin()).unwrap_err();
    assert_eq!(error.kind(), "no_key");
    assert!(error.to_string().contains("`gate`"), "{error}");
}

fn an_existing_key_is_not_overwritten(key: &Pkcs11Key) {
    let error = Pkcs11Key::generate(address("gate"), pin()).unwrap_err();
    assert_eq!(error.kind(), "already_exists");
    let same = Pkcs11Key::open(address("gate"), pin()).unwrap();
    assert_eq!(same.public_key(), key.public_key());
}

fn a_reference_opens_it(key: &Pkcs11Key) {
    let uri = "pkcs11:module-path=/usr/lib/softhsm/libsofthsm2.so;token=tidegate%20test;object=gate";
    let never = |_: &str| -> std::io::Result<SecretString> { panic!("the URI says where the PIN is") };
    let reference: KeyReference = format!("{uri};pin-env=TIDEGATE_TEST_PIN").parse().unwrap();
    let opened = reference.open(&SecretSource::Ask(&never)).unwrap();
    assert_eq!(opened.public_key(), key.public_key());
    let reference: KeyReference = uri.parse().unwrap();
    let ask = |what: &str| {
        assert!(what.starts_with("PIN for key `gate`"), "{what}");
        Ok(pin())
    };
    signs(reference.open(&SecretSource::Ask(&ask)).unwrap().as_ref());
}

fn many_threads_sign_with_one_key(key: &Pkcs11Key) {
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| signs(key));
        }
    });
}

/// What a token that was pulled out, or a network HSM that restarted, looks like from here: every
/// session and login of the process is gone.
fn a_lost_session_is_opened_again(key: &Pkcs11Key) {
    Pkcs11::new(MODULE).unwrap().finalize().unwrap();
    signs(key);
    signs(key);
}

fn a_key_of_another_kind_is_refused() {
    let session = token_session();
    let p256 = b"\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07".to_vec();
    let label = || Attribute::Label(b"p256".to_vec());
    let public = [Attribute::Token(true), Attribute::EcParams(p256), label()];
    let private = [Attribute::Token(true), Attribute::Sign(true), label()];
    session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap();
    let error = Pkcs11Key::open(address("p256"), pin()).unwrap_err();
    assert_eq!(error.kind(), "not_ed25519", "{error}");
}

/// A token counts wrong PINs and locks itself, so a server that signs every second must not repeat one.
fn a_pin_refused_after_a_loss_is_not_given_again(key: &Pkcs11Key) {
    let new_pin = SecretString::from("11223344");
    token_session().set_pin(&pin(), &new_pin).unwrap();
    Pkcs11::new(MODULE).unwrap().finalize().unwrap();
    let first = key.sign(b"permit").unwrap_err().to_string();
    assert!(first.contains("refused the PIN for"), "{first}");

    // Right again, and yet not tried: this key object has given up its PIN.
    let with_new_pin = Pkcs11Key::open(address("gate"), new_pin.clone()).unwrap();
    signs(&with_new_pin);
    token_session().set_pin(&new_pin, &pin()).unwrap();
    let second = key.sign(b"permit").unwrap_err().to_string();
    assert!(second.contains("not given again"), "{second}");
    assert!(!format!("{first} {second}").contains(PIN));
}

/// A session of the test's own; the process is logged in through the keys that are open.
fn token_session() -> Session {
    let module = Pkcs11::new(MODULE).unwrap();
    let is_ours = |slot: &Slot| module.get_token_info(*slot).unwrap().label().trim() == TOKEN;
    let slots = module.get_slots_with_initialized_token().unwrap();
    let slot = slots.into_iter().find(is_ours).unwrap();
    module.open_rw_session(slot).unwrap()
}
