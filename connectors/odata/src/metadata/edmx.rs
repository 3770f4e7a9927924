//! EDMX → [`Metadata`], read as a stream: real files have 17 MB and four thousand types.

use super::{Edm, EntityType, Metadata, Property, Table};
use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};
use std::io::BufRead;

/// Why `$metadata` cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unreadable {
    /// It ended too early.
    Truncated,
    /// It is not EDMX, or broken; a phrase says what.
    Wrong(String),
}

/// Where in the document we are.
#[derive(Debug, Default)]
struct Place {
    /// The entity or row type we are inside.
    kind: Option<(String, EntityType)>,
    /// The function we are inside: its binding type and what it is; only those that give rows and change nothing.
    function: Option<(String, Table)>,
}

/// Reads `$metadata`.
///
/// Elements are recognised by their local names (the namespace prefix of the schema is fixed by 1C); everything that
/// reading rows does not need is skipped.
pub(crate) fn read(input: impl BufRead) -> Result<Metadata, Unreadable> {
    let mut reader = Reader::from_reader(input);
    let mut buffer = Vec::new();
    let mut metadata = Metadata::default();
    let mut place = Place::default();
    let mut depth = 0usize;
    let mut closed = false;
    loop {
        match reader.read_event_into(&mut buffer) {
            Ok(Event::Start(element)) => {
                if depth == 0 && element.local_name().as_ref() != "Edmx" {
                    return Err(Unreadable::Wrong("its root is not `Edmx`".to_owned()));
                }
                depth += 1;
                place.open(&element, &mut metadata)?;
            }
            Ok(Event::Empty(element)) => {
                place.open(&element, &mut metadata)?;
                place.close(element.local_name().as_ref(), &mut metadata);
            }
            Ok(Event::End(element)) => {
                depth = depth.saturating_sub(1);
                closed |= depth == 0;
                place.close(element.local_name().as_ref(), &mut metadata);
            }
            Ok(Event::Eof) if closed => return Ok(metadata),
            // The parser calls a construct that the end of the document cuts off a mistake of syntax.
            Ok(Event::Eof) | Err(quick_xml::Error::Syntax(_) | quick_xml::Error::Io(_)) => {
                return Err(Unreadable::Truncated);
            }
            Ok(_) => {}
            Err(error) => return Err(Unreadable::Wrong(error.to_string())),
        }
        buffer.clear();
    }
}

impl Place {
    fn open(&mut self, element: &BytesStart<'_>, metadata: &mut Metadata) -> Result<(), Unreadable> {
        match element.local_name().as_ref() {
            "EntityType" | "ComplexType" => {
                self.kind = Some((required(element, "Name")?, EntityType::default()));
            }
            "PropertyRef" => {
                if let Some((_, kind)) = &mut self.kind {
                    kind.key.push(required(element, "Name")?);
                }
            }
            "Property" => {
                if let Some((_, kind)) = &mut self.kind {
                    kind.properties.push(property(element)?);
                }
            }
            "EntitySet" => {
                let kind = local(&required(element, "EntityType")?).to_owned();
                metadata.sets.insert(required(element, "Name")?, kind);
            }
            "FunctionImport" => self.function = function(element)?,
            "Parameter" => {
                if let Some((bound, table)) = &mut self.function {
                    let name = required(element, "Name")?;
                    if name == "bindingParameter" {
                        local(&required(element, "Type")?).clone_into(bound);
                    } else {
                        table.parameters.push(property(element)?);
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }

    fn close(&mut self, name: &str, metadata: &mut Metadata) {
        match name {
            "EntityType" | "ComplexType" => {
                if let Some((name, kind)) = self.kind.take() {
                    metadata.types.insert(name, kind);
                }
            }
            "FunctionImport" => {
                if let Some((bound, table)) = self.function.take() {
                    metadata.tables.entry(bound).or_default().push(table);
                }
            }
            _ => {}
        }
    }
}

/// A function that gives a collection of rows and changes nothing.
fn function(element: &BytesStart<'_>) -> Result<Option<(String, Table)>, Unreadable> {
    if attribute(element, "IsSideEffecting")?.as_deref() == Some("true") {
        return Ok(None);
    }
    let returns = attribute(element, "ReturnType")?;
    let rows = returns.as_deref().and_then(|text| text.strip_prefix("Collection(")?.strip_suffix(')'));
    let Some(rows) = rows else { return Ok(None) };
    let table = Table { name: required(element, "Name")?, parameters: Vec::new(), rows: local(rows).to_owned() };
    Ok(Some((String::new(), table)))
}

fn property(element: &BytesStart<'_>) -> Result<Property, Unreadable> {
    Ok(Property { name: required(element, "Name")?, kind: Edm::parse(&required(element, "Type")?) })
}

/// A name without its namespace: `StandardODATA.Catalog_X` → `Catalog_X`. Names of 1C have no dots.
fn local(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, local)| local)
}

fn required(element: &BytesStart<'_>, name: &str) -> Result<String, Unreadable> {
    let missing = || Unreadable::Wrong(format!("an element `{}` has no `{name}`", element.local_name().as_ref()));
    attribute(element, name)?.ok_or_else(missing)
}

fn attribute(element: &BytesStart<'_>, name: &str) -> Result<Option<String>, Unreadable> {
    let found = element.try_get_attribute(name).map_err(|error| Unreadable::Wrong(error.to_string()))?;
    let Some(found) = found else { return Ok(None) };
    let value = found.normalized_value(quick_xml::XmlVersion::Implicit1_0);
    Ok(Some(value.map_err(|error| Unreadable::Wrong(error.to_string()))?.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::SMALL;
    use super::*;

    #[test]
    fn a_cut_off_document_is_seen_to_be_cut_off() {
        let end = SMALL.trim_end().len();
        for at in (1..20).map(|part| end * part / 20) {
            let cut = SMALL.as_bytes().get(..at).unwrap();
            assert_eq!(read(cut).unwrap_err(), Unreadable::Truncated, "{at}");
        }
    }

    #[test]
    fn a_web_page_is_not_metadata() {
        let page = "<html><head><title>Login</title></head></html>";
        assert_eq!(read(page.as_bytes()).unwrap_err(), Unreadable::Wrong("its root is not `Edmx`".to_owned()));
    }
}
