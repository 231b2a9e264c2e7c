//! Messages of the device API and the operator API.
