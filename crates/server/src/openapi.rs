//! The OpenAPI document of both APIs: made from the handlers, with what all of them have in common added here.
//! The types here exist for the document only; what they describe is read and written elsewhere.

use axum::http::StatusCode;
use utoipa::openapi::path::Operation;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ContentBuilder, Ref, RefOr, ResponseBuilder};
use utoipa::{OpenApi, ToSchema};

/// A signed record: see `docs/protocol.md` for the bodies.
#[derive(ToSchema)]
#[expect(dead_code, reason = "describes what `Unverified` reads and writes")]
pub(crate) struct Record {
    /// The body. Signatures cover its canonical JSON.
    #[schema(value_type = Object)]
    body: (),
    /// Signatures of the body.
    #[schema(inline)]
    signatures: Vec<RecordSignature>,
}

/// One signature.
#[derive(ToSchema)]
#[expect(dead_code, reason = "see `Record`")]
struct RecordSignature {
    /// SHA-256 of the public key, 64 hexadecimal digits.
    key: String,
    /// The Ed25519 signature, 128 hexadecimal digits.
    sig: String,
}

/// A token and the enrolment record that goes with it.
#[derive(ToSchema)]
#[expect(dead_code, reason = "see `Record`")]
pub(crate) struct EnrolRequest {
    /// The token, signed by an enrolment key.
    #[schema(value_type = Object)]
    token: (),
    /// The record, signed by the token's key and the device's key.
    #[schema(value_type = Object)]
    enrolment: (),
}

/// Bytes as they are.
#[derive(ToSchema)]
#[schema(value_type = String, format = Binary)]
#[expect(dead_code, reason = "see `Record`")]
pub(crate) struct Bytes(String);

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Tidegate",
        description = "Device API and operator API of a Tidegate server. Errors are RFC 9457 problem documents with a stable `kind`."
    ),
    components(schemas(tidegate_wire::problem::Problem))
)]
struct Head;

/// The document without routes.
pub(crate) fn head() -> utoipa::openapi::OpenApi {
    Head::openapi()
}

/// Adds what every route has: its problems, and who may ask.
pub(crate) fn finish(mut document: utoipa::openapi::OpenApi) -> utoipa::openapi::OpenApi {
    let components = document.components.get_or_insert_default();
    for (name, description) in [
        ("operator", "An operator's token, from `/api/v1/login` or an admin."),
        ("device", "A device's token, from `/device/v1/enrol`, together with header `Tidegate-Device`."),
    ] {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description)).build();
        components.add_security_scheme(name, SecurityScheme::Http(scheme));
    }
    for (path, item) in &mut document.paths.paths {
        let scheme = scheme_of(path);
        let operations = [
            ("get", &mut item.get),
            ("put", &mut item.put),
            ("post", &mut item.post),
            ("delete", &mut item.delete),
            ("head", &mut item.head),
        ];
        for (method, operation) in operations {
            let Some(operation) = operation else { continue };
            operation.operation_id = Some(operation_id(method, path));
            describe(operation, scheme);
        }
    }
    document
}

/// Which token a route wants; none where it is open to everybody.
fn scheme_of(path: &str) -> Option<&'static str> {
    match path {
        "/api/v1/login" | "/device/v1/enrol" | "/device/v1/trust" => None,
        path if path.starts_with("/api/v1/") => Some("operator"),
        "/device/v1/check-in" | "/device/v1/go" | "/device/v1/reports" | "/device/v1/offers/{rollout}" => {
            Some("device")
        }
        _ => None,
    }
}

/// `post_api_v1_rollouts_rollout_halt`: unique, as the document's form asks for.
fn operation_id(method: &str, path: &str) -> String {
    let words: Vec<&str> = path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    format!("{method}_{}", words.join("_"))
}

fn describe(operation: &mut Operation, scheme: Option<&str>) {
    let problem = || {
        let content = ContentBuilder::new().schema(Some(Ref::from_schema_name("Problem"))).build();
        ResponseBuilder::new().description("A problem document").content("application/problem+json", content).build()
    };
    for (status, response) in &mut operation.responses.responses {
        let reason = status.parse().ok().and_then(|code: StatusCode| code.canonical_reason());
        if let (RefOr::T(response), Some(reason)) = (response, reason)
            && response.description.is_empty()
        {
            reason.clone_into(&mut response.description);
        }
    }
    operation.responses.responses.insert("default".to_owned(), RefOr::T(problem()));
    let Some(scheme) = scheme else { return };
    operation.security = Some(vec![SecurityRequirement::new(scheme, Vec::<String>::new())]);
    operation.responses.responses.insert("401".to_owned(), RefOr::T(problem()));
    if scheme == "operator" {
        operation.responses.responses.insert("403".to_owned(), RefOr::T(problem()));
    }
}
