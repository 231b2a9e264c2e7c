//! A whole refresh against a repository that answers as it likes and holds stolen keys: those of snapshot and timestamp, and one
//! of each pair that must sign together. No release but the published ones is ever shown, and nothing that was trusted goes back.
#![no_main]

#[allow(dead_code, unreachable_pub)]
#[path = "../../crates/trust/tests/tuf_threats/bench.rs"]
mod bench;

use std::sync::LazyLock;

use bench::{Bench, DAY_MS, NOW_MS, app, content, forged, manifest, path};
use libfuzzer_sys::arbitrary::{self, Arbitrary};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use tidegate_fuzz::seed;
use tidegate_trust::tuf::client::{Answer, Client, Step};

/// The keys that the repository stole. Root, targets and `app` need one more each.
const STOLEN: [u8; 5] = [1, 4, 6, 7, 8];

/// Three states of the repository: one release, two releases, and a new root after them.
static STATES: LazyLock<Vec<Bench>> = LazyLock::new(|| {
    let first = Bench::new();
    let mut second = first.clone();
    second.release("2", 2);
    let mut third = second.clone();
    third.rotate(|root| root, &[1, 2]);
    third.publish();
    vec![first, second, third]
});

#[derive(Debug, Arbitrary)]
struct Case {
    answers: Vec<Reply>,
    resume: bool,
    later_days: u8,
}

#[derive(Debug, Arbitrary)]
enum Reply {
    /// The file that was asked for, as it stood in one of the states.
    Honest { state: u8 },
    /// Another file of a state.
    Other { state: u8, file: u8 },
    /// The file that was asked for, its content changed and signed with the stolen keys.
    Forged { state: u8, place: u8, with: Forgery },
    /// The file that was asked for, with a byte changed.
    Bent { state: u8, at: u16, with: u8 },
    /// Any bytes.
    Raw(Vec<u8>),
    /// No such file.
    Nothing,
}

#[derive(Debug, Arbitrary)]
enum Forgery {
    Number(u64),
    Text(String),
    /// What stands at another place of the same file.
    Copy {
        from: u8,
    },
    /// What stands at the same place in another state.
    From {
        state: u8,
    },
}

fuzz_target!(
    init: for n in 0..64_u8 {
        seed(&n.to_string(), (0..96_u8).map(|i| i.wrapping_mul(n).wrapping_add(i ^ n)).collect::<Vec<u8>>());
        seed(&format!("honest-{n}"), [vec![0, 0, n % 3, 0, 0, 0].repeat(12), vec![n]].concat());
    },
    |case: Case| {
        let mut client = STATES[0].client();
        let mut now_ms = NOW_MS;
        for reply in &case.answers {
            let before = client.root_version();
            match client.next(now_ms) {
                Step::Need(request) => {
                    assert!(request.bytes_max <= 4 << 20, "an answer without bound is asked for");
                    client.feed(answer(reply, &request.path));
                }
                Step::Done(_) | Step::Refused(_) => now_ms += u64::from(case.later_days) * DAY_MS / 64,
            }
            assert!(client.root_version() >= before, "an older root is trusted");
            only_what_was_published(&client, now_ms);
        }
        if case.resume {
            let resumed = Client::resume(STATES[0].pinned(), [app()], client.metadata_files()).unwrap();
            assert_eq!(resumed.root_version(), client.root_version(), "a restart loses a root");
            assert_eq!(resumed.metadata_files(), client.metadata_files(), "a restart loses what was verified");
            only_what_was_published(&resumed, now_ms);
        }
    }
);

fn only_what_was_published(client: &Client, now_ms: u64) {
    for (path, info) in client.releases(&app(), now_ms).unwrap_or_default() {
        let number: u8 = path.version().parse().unwrap();
        assert!((1..=2).contains(&number) && info == manifest(number), "a release that nobody published is shown");
    }
    assert!(client.target(&path("app/3.json"), now_ms).is_err());
}

fn answer(reply: &Reply, asked: &str) -> Answer {
    let state = |n: &u8| &STATES[usize::from(*n) % STATES.len()];
    let bytes = match reply {
        Reply::Honest { state: n } => state(n).files.get(asked).cloned(),
        Reply::Other { state: n, file } => {
            let files = &state(n).files;
            files.values().nth(usize::from(*file) % files.len()).cloned()
        }
        Reply::Forged { state: n, place, with } => {
            state(n).files.get(asked).map(|file| forged(&changed(content(file), *place, with, asked), &STOLEN))
        }
        Reply::Bent { state: n, at, with } => state(n).files.get(asked).cloned().map(|mut file| {
            let at = usize::from(*at) % file.len();
            file[at] = *with;
            file
        }),
        Reply::Raw(bytes) => Some(bytes.clone()),
        Reply::Nothing => None,
    };
    bytes.map_or(Answer::NotFound, Answer::Bytes)
}

/// The content with the value at one place changed.
fn changed(mut content: Value, place: u8, with: &Forgery, asked: &str) -> Value {
    let mut places = Vec::new();
    pointers(&content, String::new(), &mut places);
    let place = &places[usize::from(place) % places.len()];
    let new = match with {
        Forgery::Number(n) => Value::from(*n % (1 << 53)),
        Forgery::Text(text) => Value::from(text.as_str()),
        Forgery::Copy { from } => content.pointer(&places[usize::from(*from) % places.len()]).unwrap().clone(),
        Forgery::From { state } => {
            let other = STATES[usize::from(*state) % STATES.len()].files.get(asked).map(|file| self::content(file));
            other.and_then(|other| other.pointer(place).cloned()).unwrap_or_default()
        }
    };
    *content.pointer_mut(place).unwrap() = new;
    content
}

/// The JSON pointers of every value inside.
fn pointers(value: &Value, at: String, found: &mut Vec<String>) {
    let below = |name: &str| format!("{at}/{}", name.replace('~', "~0").replace('/', "~1"));
    match value {
        Value::Object(map) => map.iter().for_each(|(name, inner)| pointers(inner, below(name), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, inner)| pointers(inner, below(&i.to_string()), found))
        }
        _ => {}
    }
    found.push(at);
}
