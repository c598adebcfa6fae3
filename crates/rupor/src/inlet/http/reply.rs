//! Answers of the API: the objects of the lines, with a status.

use crate::gateway::{PublishError, Receipt};
use crate::inlet::answer::{write_error, write_ok};
use crate::inlet::request::{Id, RequestError};
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// After how many seconds a call that found no room may be tried again.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// A JSON answer.
#[derive(Debug)]
pub(super) struct Reply {
    status: StatusCode,
    header: Option<(HeaderName, HeaderValue)>,
    json: Vec<u8>,
}

impl Reply {
    /// What was asked for.
    pub(super) fn found(value: &serde_json::Value) -> Self {
        Self {
            status: StatusCode::OK,
            header: None,
            json: value.to_string().into_bytes(),
        }
    }

    /// `{"ok":false,…}`
    pub(super) fn error(status: StatusCode, code: &str, text: &str) -> Self {
        let mut json = Vec::new();
        write_error(&mut json, code, text, None);
        Self {
            status,
            header: None,
            json,
        }
    }

    /// The same with one more header.
    pub(super) fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.header = Some((name, value));
        self
    }
}

impl IntoResponse for Reply {
    fn into_response(mut self) -> Response {
        // For those who call from a shell.
        self.json.push(b'\n');
        let fixed = [
            (
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/json"),
            ),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
            (
                header::X_CONTENT_TYPE_OPTIONS,
                HeaderValue::from_static("nosniff"),
            ),
        ];
        let mut response = (self.status, fixed, self.json).into_response();
        if let Some((name, value)) = self.header {
            response.headers_mut().insert(name, value);
        }
        response
    }
}

/// The results of a call, one for each of its objects.
#[derive(Debug)]
pub(super) struct Results {
    status: StatusCode,
    json: Vec<u8>,
}

impl Default for Results {
    fn default() -> Self {
        Self {
            status: StatusCode::OK,
            json: Vec::new(),
        }
    }
}

impl Results {
    /// An object was wrong.
    pub(super) fn add_wrong(&mut self, error: &RequestError, id: Option<&Id>) {
        self.worse(match error {
            RequestError::BadJson(_) | RequestError::NotUtf8 => StatusCode::BAD_REQUEST,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        });
        write_error(self.next(), error.code(), &error.to_string(), id);
    }

    /// An object was right, but another one was wrong.
    pub(super) fn add_not_sent(&mut self, id: Option<&Id>) {
        let text = "not sent, because another object of the array is wrong";
        write_error(self.next(), "not_sent", text, id);
    }

    /// What became of publications.
    pub(super) fn add_receipts(
        &mut self,
        ids: &[Option<Id>],
        receipts: Vec<Result<Receipt, PublishError>>,
    ) {
        for (receipt, id) in receipts.into_iter().zip(ids) {
            self.add(receipt.map(|receipt| receipt.connections), id.as_ref());
        }
    }

    /// What became of one object: how many connections it reached.
    pub(super) fn add(&mut self, result: Result<usize, PublishError>, id: Option<&Id>) {
        match result {
            Ok(connections) => write_ok(self.next(), connections, id),
            Err(error) => {
                self.worse(match error {
                    PublishError::Overloaded | PublishError::Unavailable => {
                        StatusCode::SERVICE_UNAVAILABLE
                    }
                    _ => StatusCode::UNPROCESSABLE_ENTITY,
                });
                write_error(self.next(), error.code(), &error.to_string(), id);
            }
        }
    }

    /// One object's result as it is, or all as an array.
    pub(super) fn into_reply(self, array: bool) -> Reply {
        let mut json = self.json;
        if array {
            json.insert(0, b'[');
            json.push(b']');
        }
        let retry = (self.status == StatusCode::SERVICE_UNAVAILABLE)
            .then_some((header::RETRY_AFTER, RETRY_AFTER));
        Reply {
            status: self.status,
            header: retry,
            json,
        }
    }

    /// The whole call's status is that of its worst object: 503 before 422 before 400.
    fn worse(&mut self, status: StatusCode) {
        self.status = self.status.max(status);
    }

    fn next(&mut self) -> &mut Vec<u8> {
        if !self.json.is_empty() {
            self.json.push(b',');
        }
        &mut self.json
    }
}
