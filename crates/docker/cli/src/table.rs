//! Rows of named fields, printed as docker's tables, as JSON lines or by a template.

use crate::template::{Template, TemplateError};
use serde_json::{Map, Value};

/// The columns of a table: header and the field it shows.
pub(crate) type Columns = &'static [(&'static str, &'static str)];

/// Prints `rows` as `format` asks: nothing or `table` for the columns, `table TEMPLATE`, `json`, or a template.
pub(crate) fn print(rows: &[Map<String, Value>], format: Option<&str>, columns: Columns) -> Result<(), TemplateError> {
    let mut out = String::new();
    match format.map(str::trim) {
        None | Some("" | "table") => {
            let header = columns.iter().map(|(header, _)| header.to_string()).collect();
            let cells = rows.iter().map(|row| columns.iter().map(|(_, field)| cell(row.get(*field))).collect());
            out = align(std::iter::once(header).chain(cells).collect());
        }
        Some("json") => {
            for row in rows {
                out.push_str(&Value::Object(row.clone()).to_string());
                out.push('\n');
            }
        }
        Some(format) => {
            let (table, text) = format.strip_prefix("table ").map_or((false, format), |text| (true, text));
            let template = Template::parse(text)?;
            let mut lines = Vec::new();
            if table {
                lines.push(template.render(&Value::Object(header_row(rows, columns)))?);
            }
            for row in rows {
                lines.push(template.render(&Value::Object(row.clone()))?);
            }
            if table {
                out = align(lines.iter().map(|line| line.split('\t').map(String::from).collect()).collect());
            } else {
                lines.iter().for_each(|line| out.push_str(&format!("{line}\n")));
            }
        }
    }
    print!("{out}");
    Ok(())
}

fn cell(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

/// Every field under its column's header, or its own name in capitals.
fn header_row(rows: &[Map<String, Value>], columns: Columns) -> Map<String, Value> {
    let mut header: Map<String, Value> =
        columns.iter().map(|(header, field)| (field.to_string(), Value::from(*header))).collect();
    for field in rows.iter().flat_map(Map::keys) {
        header.entry(field.clone()).or_insert_with(|| Value::from(field.to_uppercase()));
    }
    header
}

/// Columns at least ten wide with three spaces between, the last one as it is.
pub(crate) fn align(lines: Vec<Vec<String>>) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines.iter().filter_map(|line| line.get(column)).map(|cell| cell.chars().count() + 3).max().unwrap_or(0).max(10)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut out = String::new();
    for line in &lines {
        for (column, cell) in line.iter().enumerate() {
            if column + 1 == line.len() {
                out.push_str(cell);
            } else {
                out.push_str(&format!("{cell:<width$}", width = widths[column]));
            }
        }
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_the_last_is_not_padded() {
        let lines = [["CONTAINER ID", "IMAGE", "NAMES"], ["0123456789ab", "debian:12", "web"]];
        let lines = lines.iter().map(|line| line.iter().map(|cell| cell.to_string()).collect()).collect();
        assert_eq!(align(lines), "CONTAINER ID   IMAGE       NAMES\n0123456789ab   debian:12   web\n");
    }
}
