//! The environment of a container: references resolved and `$(VAR)` expanded, so that the board has nothing to look up.

use super::Context;
use super::names;
use super::objects::{self, Data, Metadata};
use crate::host::diagnostic::quote;
use crate::host::read::{Object, Place, did_you_mean};
use crate::host::schema;
use crate::host::suggest::nearest;
use crate::manifest::limits;
use crate::manifest::pod::EnvVar;
use std::format;
use std::prelude::v1::*;

/// The variables of one container, in order.
#[derive(Default)]
pub(super) struct Environment<'c>(Vec<EnvVar<'c>>);

/// A text with its variables put in.
pub(super) struct Expanded {
    pub(super) text: String,
    /// A part of it came from a Secret.
    pub(super) secret: bool,
}

impl<'c> Environment<'c> {
    /// The variables.
    pub(super) fn iter(&self) -> impl Iterator<Item = EnvVar<'c>> {
        self.0.iter().copied()
    }

    /// Sets a variable; a later one of the same name replaces the earlier.
    fn set(&mut self, variable: EnvVar<'c>) {
        match self.0.iter_mut().find(|v| v.key == variable.key) {
            Some(earlier) => *earlier = variable,
            None => self.0.push(variable),
        }
    }

    /// `text` with `$(NAME)` replaced where NAME is set, and `$$` by `$`; nothing else is touched. `None` where it gets too long.
    pub(super) fn expand(&self, text: &str) -> Option<Expanded> {
        let mut out = Expanded { text: String::new(), secret: false };
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            out.text.push_str(&rest[..dollar]);
            rest = &rest[dollar + 1..];
            if let Some(after) = rest.strip_prefix('$') {
                out.text.push('$');
                rest = after;
            } else if let Some((name, after)) = rest.strip_prefix('(').and_then(|r| r.split_once(')')) {
                match self.0.iter().find(|v| v.key == name) {
                    Some(variable) => {
                        out.text.push_str(variable.value);
                        out.secret |= variable.secret;
                    }
                    None => {
                        out.text.push_str("$(");
                        out.text.push_str(name);
                        out.text.push(')');
                    }
                }
                rest = after;
            } else {
                out.text.push('$');
            }
            if out.text.len() > limits::STRING {
                return None;
            }
        }
        out.text.push_str(rest);
        (out.text.len() <= limits::STRING).then_some(out)
    }
}

/// The environment of `container`: first `envFrom`, then `env` over it.
pub(super) fn lower<'c, 'a: 'c>(
    cx: &'c Context<'a>,
    meta: &'c Metadata<'c>,
    container: &Object<'a>,
) -> Environment<'c> {
    let mut environment = Environment(meta.given.variable().into_iter().collect());
    for place in container.get("envFrom").iter().flat_map(|list| list.list(limits::ENV)) {
        from(cx, meta, &place, &mut environment);
    }
    for place in container.get("env").iter().flat_map(|list| list.list(limits::ENV)) {
        let Some(object) = place.object(&schema::ENV_VAR) else {
            continue;
        };
        let key = object.require("name").and_then(|name| {
            let key = name.text()?;
            if !names::is_env(key) {
                let rule = "printable ASCII without =";
                name.error(format!("{} is not the name of a variable: {rule}", name.quoted(key)));
                return None;
            }
            Some(key)
        });
        let value = value(cx, meta, &object, &environment);
        if let (Some(key), Some((value, secret))) = (key, value) {
            environment.set(EnvVar { key, value, secret });
        }
    }
    if environment.0.len() > limits::ENV {
        container.place.error(format!(
            "at most {} variables are possible, and there are {}",
            limits::ENV,
            environment.0.len()
        ));
    }
    environment
}

/// All entries of a ConfigMap or Secret.
fn from<'c, 'a: 'c>(cx: &'c Context<'a>, meta: &Metadata<'_>, place: &Place<'a>, environment: &mut Environment<'c>) {
    let Some(object) = place.object(&schema::ENV_FROM) else {
        return;
    };
    let prefix = object.get("prefix").and_then(|p| p.text()).unwrap_or_default();
    let (source, secret) = match (object.get("configMapRef"), object.get("secretRef")) {
        (Some(config), None) => (config, false),
        (None, Some(secret)) => (secret, true),
        (Some(_), Some(_)) => return place.error("configMapRef or secretRef, not both"),
        (None, None) => return place.error("needs configMapRef or secretRef"),
    };
    let Some(reference) = source.object(&schema::ENV_REF) else {
        return;
    };
    let Some(data) = find(cx, meta, &reference, "name", secret) else {
        return;
    };
    for (key, bytes) in data.entries.iter().filter(|(key, _)| !data.binary.contains(key)) {
        let name = format!("{prefix}{key}");
        if !names::is_env(&name) {
            source.warning(format!(
                "the key {} is left out: {} is not the name of a variable",
                quote(key),
                quote(&name)
            ));
            continue;
        }
        if let Some(value) = text(cx, &source, key, bytes) {
            environment.set(EnvVar { key: cx.arena.str(&name), value, secret });
        }
    }
}

/// The value of one variable, and whether it is a secret; `None` where there is none to set.
fn value<'c, 'a: 'c>(
    cx: &'c Context<'a>,
    meta: &'c Metadata<'c>,
    variable: &Object<'a>,
    before: &Environment<'c>,
) -> Option<(&'c str, bool)> {
    let plain = variable.get("value").and_then(|place| Some((place.env_value()?, place)));
    let Some(place) = variable.get("valueFrom") else {
        let Some((text, place)) = plain else {
            return Some(("", false));
        };
        let Some(expanded) = before.expand(text) else {
            place.error(format!("with its variables this is longer than {} bytes", limits::STRING));
            return None;
        };
        return cx.afford(&place, expanded.text.len()).then(|| (cx.arena.str(&expanded.text), expanded.secret));
    };
    if plain.is_some_and(|(text, _)| !text.is_empty()) {
        place.error("value or valueFrom, not both");
        return None;
    }
    let source = place.object(&schema::ENV_SOURCE)?;
    match (source.get("configMapKeyRef"), source.get("secretKeyRef"), source.get("fieldRef")) {
        (Some(reference), None, None) => Some((key(cx, meta, &reference, false)?, false)),
        (None, Some(reference), None) => Some((key(cx, meta, &reference, true)?, true)),
        (None, None, Some(reference)) => Some((field(meta, &reference)?, false)),
        (None, None, None) => {
            if !source.has_refused() {
                place.error("needs configMapKeyRef, secretKeyRef or fieldRef");
            }
            None
        }
        _ => {
            place.error("only one of configMapKeyRef, secretKeyRef and fieldRef");
            None
        }
    }
}

/// The entry that a `configMapKeyRef` or `secretKeyRef` names.
fn key<'c, 'a: 'c>(cx: &'c Context<'a>, meta: &Metadata<'_>, place: &Place<'a>, secret: bool) -> Option<&'c str> {
    let reference = place.object(&schema::KEY_REF)?;
    let optional = reference.flag("optional").unwrap_or(false);
    let key = reference.require("key").and_then(|key| Some((key.text()?, key)));
    let data = find(cx, meta, &reference, "name", secret);
    let ((name, key), data) = (key?, data?);
    match data.entries.get(name) {
        Some(_) if data.binary.contains(&name) => {
            key.error("this key is in binaryData: it can be a file, and not a variable");
            None
        }
        Some(bytes) => text(cx, place, name, bytes),
        None if optional => None,
        None => {
            let hint = did_you_mean(nearest(name, data.entries.keys().copied()));
            key.error(format!("there is no key {} in it{hint}", quote(name)));
            None
        }
    }
}

/// The ConfigMap or Secret whose name is in `field`; `None` with a message unless it is optional.
pub(super) fn find<'c, 'a: 'c>(
    cx: &'c Context<'a>,
    meta: &Metadata<'_>,
    reference: &Object<'a>,
    field: &'static str,
    secret: bool,
) -> Option<&'c Data<'a>> {
    let optional = reference.get("optional").and_then(|p| p.boolean()).unwrap_or(false);
    let place = reference.require(field)?;
    let name = place.text()?;
    let known = if secret { &cx.objects.secrets } else { &cx.objects.configs };
    let found = objects::lookup(known, meta.namespace, name);
    if found.is_none() && !optional {
        let what = if secret { "Secret" } else { "ConfigMap" };
        let hint = objects::hint(known, meta.namespace, name);
        place
            .error(format!("there is no {what} {} in these files{hint}", quote(&format!("{}/{name}", meta.namespace))));
    }
    found
}

/// The bytes of an entry as the value of a variable.
fn text<'c>(cx: &'c Context<'_>, place: &Place<'_>, key: &str, bytes: &'c [u8]) -> Option<&'c str> {
    let text = core::str::from_utf8(bytes).ok().filter(|t| !t.contains('\0') && t.len() <= limits::STRING);
    if text.is_none() {
        place.error(format!(
            "the key {} cannot be a variable: it is not text, or longer than {} bytes",
            quote(key),
            limits::STRING
        ));
    }
    cx.spent.set(cx.spent.get().saturating_add(bytes.len()));
    text
}

/// What a `fieldRef` names: what is known of a pod before it runs.
fn field<'c>(meta: &'c Metadata<'c>, place: &Place<'_>) -> Option<&'c str> {
    /// Known only on the board.
    const RUNTIME: [&str; 7] = [
        "metadata.uid",
        "spec.nodeName",
        "spec.serviceAccountName",
        "status.hostIP",
        "status.hostIPs",
        "status.podIP",
        "status.podIPs",
    ];
    let place = place.object(&schema::FIELD_REF)?.require("fieldPath")?;
    let path = place.text()?;
    let keyed = |prefix: &str| path.strip_prefix(prefix)?.strip_prefix("['")?.strip_suffix("']");
    let of = |pairs: &'c [crate::manifest::pod::Pair<'c>], key: &str| {
        pairs.iter().find(|p| p.key == key).map_or("", |p| p.value)
    };
    match path {
        "metadata.name" => return Some(meta.name),
        "metadata.namespace" => return Some(meta.namespace),
        _ => {}
    }
    if let Some(key) = keyed("metadata.labels") {
        return Some(of(&meta.labels, key));
    }
    if let Some(key) = keyed("metadata.annotations") {
        return Some(of(&meta.annotations, key));
    }
    if RUNTIME.contains(&path) {
        place.error(format!("{path} is not supported on the board yet: it is known only when the pod runs"));
        return None;
    }
    let known = ["metadata.name", "metadata.namespace", "metadata.labels['KEY']", "metadata.annotations['KEY']"];
    let hint = did_you_mean(nearest(path, known.into_iter().chain(RUNTIME)));
    place.error(format!("{} is not a field that a variable can take{hint}", quote(path)));
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn variables_are_expanded_as_kubernetes_does() {
        let variable = |key, value, secret| EnvVar { key, value, secret };
        let env = Environment(vec![
            variable("A", "1", false),
            variable("B", "$(A)", false),
            variable("S", "hush", true),
            variable("", "?", false),
        ]);
        let cases = [
            ("$(A)", "1"),
            ("x$(A)y$(A)", "x1y1"),
            ("$(B)", "$(A)"),
            ("$$(A)", "$(A)"),
            ("$$$(A)", "$1"),
            ("$$$$(A)", "$$(A)"),
            ("$(NONE)", "$(NONE)"),
            ("$A ${A} $", "$A ${A} $"),
            ("$(A", "$(A"),
            ("$(A$(A)", "$(A$(A)"),
            ("$()", "?"),
            ("", ""),
        ];
        for (text, expected) in cases {
            assert_eq!(env.expand(text).unwrap().text, expected, "{text}");
        }
        assert!(env.expand("$(S)").unwrap().secret && !env.expand("$(A)").unwrap().secret);
    }
}
