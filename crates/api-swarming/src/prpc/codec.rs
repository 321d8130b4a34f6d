//! The three ways in which a message is written, and how a client asks for one.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use prost::{Message, Name};
use prost_reflect::{
    DeserializeOptions, DynamicMessage, Kind, MessageDescriptor, SerializeOptions,
};
use serde_json::Value;

use super::Status;
use crate::proto::DESCRIPTORS;

/// Keeps a browser from running the JSON as a script of another page's.
pub(super) const JSON_PREFIX: &[u8] = b")]}'\n";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    Binary,
    Json,
    Text,
}

/// Whether every enum's value is one of its own.
fn known_values(message: &MessageDescriptor, value: &Value) -> Result<(), String> {
    let Value::Object(fields) = value else { return Ok(()) };
    for (name, value) in fields {
        let field =
            message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name));
        let Some(field) = field else { continue };
        let each = match value {
            Value::Array(values) => &values[..],
            one => std::slice::from_ref(one),
        };
        for value in each {
            match (field.kind(), value) {
                (Kind::Message(of), value) => known_values(&of, value)?,
                (Kind::Enum(of), Value::String(text)) if of.get_value_by_name(text).is_none() => {
                    return Err(format!("invalid value for enum field {name}: {text:?}"));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

impl Codec {
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Binary => "application/prpc; encoding=binary",
            Self::Json => "application/json",
            Self::Text => "application/prpc; encoding=text",
        }
    }

    /// What a request's body is written in.
    pub(super) fn of_request(headers: &HeaderMap) -> Result<Self, Status> {
        let bad = |why: String| {
            let message = format!("bad Content-Type header: {why}");
            Status::invalid(message).with_http(StatusCode::UNSUPPORTED_MEDIA_TYPE)
        };
        let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(Self::Binary) };
        let text = value.to_str().map_err(|_| bad("it is not ASCII".to_owned()))?;
        if text.trim().is_empty() {
            return Ok(Self::Binary);
        }
        match Self::of_media_type(text) {
            Ok(Some(codec)) => Ok(codec),
            Ok(None) => Err(bad(format!("unknown media type `{}`", text.trim()))),
            Err(why) => Err(bad(why)),
        }
    }

    /// What the client wants the answer in.
    pub(super) fn of_answer(headers: &HeaderMap) -> Result<Self, Status> {
        let mut values = headers.get_all(header::ACCEPT).iter().peekable();
        if values.peek().is_none() {
            return Ok(Self::Binary);
        }
        let mut best: Option<(f32, Self)> = None;
        for value in values {
            let bad = |why: &str| Status::invalid(format!("bad Accept header: {why}"));
            let text = value.to_str().map_err(|_| bad("it is not ASCII"))?;
            for item in text.split(',').map(str::trim).filter(|item| !item.is_empty()) {
                let (media_type, quality) = quality(item).map_err(|why| bad(&why))?;
                let codec = Self::of_media_type(&media_type).map_err(|why| bad(&why))?;
                let Some(codec) = codec.filter(|_| quality > 0.0) else { continue };
                // Of equal ones the first.
                if best.is_none_or(|(known, _)| quality > known) {
                    best = Some((quality, codec));
                }
            }
        }
        best.map(|(_, codec)| codec).ok_or_else(|| {
            let message = "bad Accept header: none of the media types can be written";
            Status::invalid(message).with_http(StatusCode::NOT_ACCEPTABLE)
        })
    }

    /// `None` for one that is not ours.
    fn of_media_type(text: &str) -> Result<Option<Self>, String> {
        let mut parts = text.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        match name.as_str() {
            "*/*" | "application/*" | "application/grpc" => Ok(Some(Self::Binary)),
            "application/json" => Ok(Some(Self::Json)),
            "application/prpc" => {
                let mut codec = Self::Binary;
                for parameter in parts.filter(|parameter| !parameter.is_empty()) {
                    let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
                    let value = value.trim().trim_matches('"').to_ascii_lowercase();
                    codec = match (key.trim().to_ascii_lowercase().as_str(), value.as_str()) {
                        ("encoding", "binary") => Self::Binary,
                        ("encoding", "json") => Self::Json,
                        ("encoding", "text") => Self::Text,
                        ("encoding", other) => {
                            return Err(format!(
                                "`encoding` is `{other}`, not binary, json or text"
                            ));
                        }
                        (other, _) => return Err(format!("unexpected parameter `{other}`")),
                    };
                }
                Ok(Some(codec))
            }
            _ => Ok(None),
        }
    }

    pub(super) fn decode<T: Message + Name + Default>(self, body: &[u8]) -> Result<T, Status> {
        let bad = |error: &dyn std::fmt::Display| {
            Status::invalid(format!("could not decode body: {error}"))
        };
        match self {
            Self::Binary => T::decode(body).map_err(|error| bad(&error)),
            Self::Json => {
                // Names of fields that are not known are passed over, but not names of values: a task that is asked for in a
                // state that nobody knows must not be looked for in the first one.
                let value: Value = serde_json::from_slice(body).map_err(|error| bad(&error))?;
                let message = descriptor::<T>();
                known_values(&message, &value).map_err(|error| bad(&error))?;
                let options = DeserializeOptions::new().deny_unknown_fields(false);
                let mut reader = serde_json::Deserializer::from_slice(body);
                let read = DynamicMessage::deserialize_with_options(message, &mut reader, &options)
                    .map_err(|error| bad(&error))?;
                reader.end().map_err(|error| bad(&error))?;
                read.transcode_to().map_err(|error| bad(&error))
            }
            Self::Text => {
                let text = std::str::from_utf8(body).map_err(|error| bad(&error))?;
                let read = DynamicMessage::parse_text_format(descriptor::<T>(), text);
                read.map_err(|error| bad(&error))?.transcode_to().map_err(|error| bad(&error))
            }
        }
    }

    pub(super) fn encode<T: Message + Name>(self, message: &T) -> Vec<u8> {
        let dynamic = || {
            let bytes = message.encode_to_vec();
            DynamicMessage::decode(descriptor::<T>(), &bytes[..]).expect("it was just written")
        };
        match self {
            Self::Binary => message.encode_to_vec(),
            Self::Json => {
                let mut out = JSON_PREFIX.to_vec();
                json(&dynamic(), &mut out);
                out.push(b'\n');
                out
            }
            Self::Text => dynamic().to_text_format().into_bytes(),
        }
    }

    /// A detail of a status, as a header carries it.
    pub(super) fn encode_detail(self, detail: &prost_types::Any) -> Vec<u8> {
        match self {
            Self::Binary => detail.encode_to_vec(),
            Self::Json => {
                let bytes = detail.encode_to_vec();
                let any = DynamicMessage::decode(descriptor::<prost_types::Any>(), &bytes[..]);
                let mut out = Vec::new();
                json(&any.expect("it was just written"), &mut out);
                out
            }
            Self::Text => {
                let bytes = detail.encode_to_vec();
                let any = DynamicMessage::decode(descriptor::<prost_types::Any>(), &bytes[..]);
                any.expect("it was just written").to_text_format().into_bytes()
            }
        }
    }

    pub(super) fn header(self) -> HeaderValue {
        HeaderValue::from_static(self.content_type())
    }
}

fn descriptor<T: Name>() -> MessageDescriptor {
    let name = T::full_name();
    DESCRIPTORS.get_message_by_name(&name).expect("every message of ours is described")
}

/// A message as JSON, without the guard.
pub(crate) fn json_of<T: Message + Name>(message: &T) -> Vec<u8> {
    let bytes = message.encode_to_vec();
    let dynamic = DynamicMessage::decode(descriptor::<T>(), &bytes[..]);
    let mut out = Vec::new();
    json(&dynamic.expect("it was just written"), &mut out);
    out
}

fn json(message: &DynamicMessage, out: &mut Vec<u8>) {
    let mut writer = serde_json::Serializer::new(&mut *out);
    message
        .serialize_with_options(&mut writer, &SerializeOptions::new())
        .expect("a message that was decoded can be written");
}

/// `application/json; q=0.8` without its quality, and that.
fn quality(item: &str) -> Result<(String, f32), String> {
    let mut quality = 1.0;
    let mut kept = Vec::new();
    for part in item.split(';') {
        match part.trim().split_once('=') {
            Some((key, value)) if key.trim().eq_ignore_ascii_case("q") => {
                let number: f32 = value.trim().parse().map_err(|_| format!("`{}`", part.trim()))?;
                if !(0.0..=1.0).contains(&number) {
                    return Err(format!("`{}` is not between 0 and 1", part.trim()));
                }
                quality = number;
            }
            _ => kept.push(part),
        }
    }
    Ok((kept.join(";"), quality))
}

/// A body that is not written in any codec.
pub(super) fn plain(text: Bytes) -> (HeaderValue, Bytes) {
    (HeaderValue::from_static("text/plain; charset=utf-8"), text)
}
