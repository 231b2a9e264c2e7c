//! What can go wrong between this command and a server, as one line each.

use tidegate_wire::problem::Problem;

/// Why a request came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ClientError {
    /// The server's address cannot be used.
    #[error("server {address:?}: {problem}; right is https://HOST:PORT, or http://127.0.0.1:PORT on this host")]
    Address {
        /// The address.
        address: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The file with certificates cannot be used.
    #[error("CA file: {problem}; right is one or more certificates in PEM form")]
    CaFile {
        /// What is wrong with it.
        problem: String,
    },
    /// No answer came. Asking again may help.
    #[error("no answer from {base}: {problem}; is the server up, and is this its address?")]
    Unreachable {
        /// The server.
        base: String,
        /// What happened.
        problem: String,
    },
    /// The server refused.
    #[error("{} ({}, {request})", .problem.detail, .problem.kind)]
    Refused {
        /// The request.
        request: String,
        /// The server's own words.
        problem: Box<Problem>,
    },
    /// An answer that this version does not understand.
    #[error("{request}: {problem}")]
    Answer {
        /// The request.
        request: String,
        /// What is wrong with the answer.
        problem: String,
    },
}

impl ClientError {
    /// Whether asking again later may help.
    pub(crate) fn is_passing(&self) -> bool {
        match self {
            ClientError::Unreachable { .. } => true,
            ClientError::Refused { problem, .. } => problem.status == 503 || problem.status == 429,
            ClientError::Address { .. } | ClientError::CaFile { .. } | ClientError::Answer { .. } => false,
        }
    }
}
