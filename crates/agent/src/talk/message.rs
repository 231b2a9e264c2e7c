//! What the main loop asks the network thread, and what it hears. Everything heard was verified.

use std::collections::BTreeMap;
use std::time::Duration;

use tidegate_domain::device::Trial;
use tidegate_domain::digest::Digest;
use tidegate_domain::ids::{ContractName, PackageName, RolloutId};
use tidegate_trust::records::Report;
use tidegate_trust::signed::Unverified;
use tidegate_wire::device::{CheckIn, OfferNotice};

use crate::server::Credentials;
use crate::verdict::{Accepted, Refusal};

/// A question for the server.
pub(crate) enum Ask {
    /// The device is there.
    CheckIn(CheckIn),
    /// An offer waits: may it be taken?
    Consider {
        /// The notice.
        notice: OfferNotice,
        /// The contracts that the device offers.
        offers: BTreeMap<ContractName, u64>,
    },
    /// A return was ordered: is that so?
    ConsiderReturn(RolloutId),
    /// The files are staged: may the device activate?
    Go {
        /// The package.
        package: PackageName,
        /// What is staged.
        trial: Box<Trial>,
    },
    /// Reports to hand over.
    Report(Vec<Unverified<Report>>),
}

/// What came of a question; everything in it is verified.
pub(crate) enum Heard {
    /// The device is enrolled, with these credentials.
    Joined(Credentials),
    /// An authenticated answer to a check-in.
    CheckedIn(Box<News>),
    /// No answer to a check-in.
    CheckInFailed,
    /// The offer passed; its files are to be fetched.
    Accepted(Box<Accepted>),
    /// The offer was refused.
    Refused {
        /// The package.
        package: PackageName,
        /// The order.
        order: Digest,
        /// Why.
        refusal: Refusal,
    },
    /// Nothing came of weighing the offer; it is offered again.
    NotConsidered(PackageName),
    /// The go, verified.
    GoGiven {
        /// The package.
        package: PackageName,
        /// The order.
        order: Digest,
    },
    /// The server says no, or (`refusal`) what it said is no go.
    NoGo {
        /// The package.
        package: PackageName,
        /// The order.
        order: Digest,
        /// Why what came is no go; none where the server said no.
        refusal: Option<Refusal>,
    },
    /// No answer to the question for a go: ask again.
    GoUnanswered(PackageName),
    /// A permit of kind `revert` reaches this device.
    ReturnOrdered {
        /// The package.
        package: PackageName,
        /// The order.
        order: Digest,
    },
    /// Reports are kept up to this number.
    Acknowledged(u64),
    /// No answer to reports.
    ReportFailed,
}

/// What a check-in brought.
pub(crate) struct News {
    pub(crate) check_in: Duration,
    pub(crate) store_epoch: String,
    pub(crate) offers: Vec<OfferNotice>,
    pub(crate) health_wanted: Vec<PackageName>,
    pub(crate) halts: Vec<Digest>,
    pub(crate) fleet_proven: Vec<(PackageName, Digest, Digest)>,
    pub(crate) reverts: Vec<RolloutId>,
}
