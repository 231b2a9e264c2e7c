//! The device: fetch, verify, stage, activate, prove, return, report.
