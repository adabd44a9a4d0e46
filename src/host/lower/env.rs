//! The environment of a container: references resolved and `$(VAR)` expanded, so that the board has nothing to look up.

use super::Context;
use super::facts::{self, Asker, Told};
use super::names;
use super::objects::{self, Data, Metadata};
use super::pod::Shared;
use super::volumes;
use crate::host::diagnostic::quote;
use crate::host::read::{Object, Place, did_you_mean};
use crate::host::schema;
use crate::host::suggest::nearest;
use crate::manifest::fact::{Fact, FileKey, reference};
use crate::manifest::limits;
use crate::manifest::pod::EnvVar;
use std::format;
use std::prelude::v1::*;

/// The variables of one container, in order, and the facts that they refer to.
#[derive(Default)]
pub(super) struct Environment<'c>(Vec<EnvVar<'c>>, Vec<Fact<'c>>);

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

    /// What the variables refer to.
    pub(super) fn facts(&self) -> impl Iterator<Item = Fact<'c>> {
        self.1.iter().copied()
    }

    /// The text that stands for a fact.
    fn refer(&mut self, cx: &'c Context<'_>, place: &Place<'_>, fact: Fact<'c>) -> Option<&'c str> {
        let known = self.1.iter().position(|known| *known == fact);
        let index = known.unwrap_or_else(|| {
            self.1.push(fact);
            self.1.len() - 1
        });
        if index >= limits::FACTS {
            place.error(format!("at most {} different fields are possible in a container", limits::FACTS));
            return None;
        }
        Some(cx.arena.str(&String::from_iter(reference(u8::try_from(index).ok()?))))
    }

    /// Sets a variable; a later one of the same name replaces the earlier.
    fn set(&mut self, variable: EnvVar<'c>) {
        match self.0.iter_mut().find(|v| v.key == variable.key) {
            Some(earlier) => *earlier = variable,
            None => self.0.push(variable),
        }
    }

    /// The first variable that `text` refers to and that is not set.
    pub(super) fn missing<'t>(&self, text: &'t str) -> Option<&'t str> {
        let mut rest = text;
        while let Some((_, after)) = rest.split_once('$') {
            if let Some(after) = after.strip_prefix('$') {
                rest = after;
                continue;
            }
            rest = after;
            if let Some((name, after)) = after.strip_prefix('(').and_then(|r| r.split_once(')')) {
                if !self.0.iter().any(|v| v.key == name) {
                    return Some(name);
                }
                rest = after;
            }
        }
        None
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
pub(super) fn lower<'c, 'a: 'c>(cx: &'c Context<'a>, pod: &Shared<'c>, container: &Object<'a>) -> Environment<'c> {
    let meta = pod.meta;
    let mut environment = Environment(meta.given.variable().into_iter().collect(), Vec::new());
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
        let value = value(cx, pod, container, &object, &mut environment);
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
    pod: &Shared<'c>,
    container: &Object<'a>,
    variable: &Object<'a>,
    before: &mut Environment<'c>,
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
    const SOURCES: [&str; 5] = ["configMapKeyRef", "secretKeyRef", "fieldRef", "resourceFieldRef", "fileKeyRef"];
    let mut given = SOURCES.into_iter().filter_map(|name| Some((name, source.get(name)?)));
    let Some((kind, reference)) = given.next() else {
        if !source.has_refused() {
            place.error("needs configMapKeyRef, secretKeyRef, fieldRef, resourceFieldRef or fileKeyRef");
        }
        return None;
    };
    if given.next().is_some() {
        place.error("only one of configMapKeyRef, secretKeyRef, fieldRef, resourceFieldRef and fileKeyRef");
        return None;
    }
    let own = || container.get("name").and_then(|name| name.text()).unwrap_or_default();
    let told = match kind {
        "configMapKeyRef" => return Some((key(cx, pod.meta, &reference, false)?, false)),
        "secretKeyRef" => return Some((key(cx, pod.meta, &reference, true)?, true)),
        "fileKeyRef" => Told::Later(Fact::File(file_key(cx, pod, &reference)?)),
        "fieldRef" => facts::field(pod.meta, &reference, Asker::Variable(own()))?,
        _ => Told::Later(facts::resource(&reference, pod.containers, Asker::Variable(own()))?),
    };
    match told {
        Told::Now(text) => Some((text, false)),
        Told::Later(fact) => Some((before.refer(cx, &reference, fact)?, false)),
    }
}

/// The variable that a `fileKeyRef` names.
fn file_key<'c, 'a: 'c>(cx: &'c Context<'a>, pod: &Shared<'c>, place: &Place<'a>) -> Option<FileKey<'c>> {
    let reference = place.object(&schema::FILE_KEY_REF)?;
    let key = reference.require("key").and_then(|place| {
        let key = place.text()?;
        if !names::is_env(key) {
            place.error(format!("{} is not the name of a variable: printable ASCII without =", quote(key)));
            return None;
        }
        Some(key)
    });
    let path = reference.require("path").and_then(|place| volumes::path(cx, &place));
    let volume = reference.require("volumeName").and_then(|place| {
        let (volume, _) = pod.volumes.find(&place)?;
        if !pod.volumes.is_empty_dir(volume) {
            place.error("is not an emptyDir: a container writes the file into one before this one starts");
            return None;
        }
        Some(volume)
    });
    let optional = reference.flag("optional").unwrap_or(false);
    Some(FileKey { volume: volume?, path: path?, key: key?, optional })
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::vec;

    #[test]
    fn variables_are_expanded_as_kubernetes_does() {
        let variable = |key, value, secret| EnvVar { key, value, secret };
        let env = Environment(
            vec![
                variable("A", "1", false),
                variable("B", "$(A)", false),
                variable("S", "hush", true),
                variable("", "?", false),
            ],
            Vec::new(),
        );
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
