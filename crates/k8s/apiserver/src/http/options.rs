//! Query parameters of requests about objects.

use k8s_types::codec::FieldValidation;
use k8s_types::field::{Error, Errors, Path};
use k8s_types::object::GroupKind;
use k8s_types::status::ApiError;

use crate::admission::DryRun;
use crate::registry::VersionMatch;

/// The parameters of one request, as they came.
pub struct Parameters(Vec<(String, String)>);

/// Parameters of list and watch, checked.
#[derive(Debug, Clone)]
pub struct ListParameters {
    /// `labelSelector`
    pub labels: String,
    /// `fieldSelector`
    pub fields: String,
    /// `watch`
    pub watch: bool,
    /// `allowWatchBookmarks`
    pub bookmarks: bool,
    /// `resourceVersion`; `None` where it is empty.
    pub version: Option<u64>,
    /// `resourceVersionMatch`
    pub version_match: VersionMatch,
    /// `timeoutSeconds`
    pub timeout: Option<u64>,
    /// `limit`
    pub limit: usize,
    /// `continue`
    pub token: String,
    /// `sendInitialEvents`
    pub initial_events: Option<bool>,
}

impl Parameters {
    /// Those of a query string.
    pub fn parse(query: Option<&str>) -> Parameters {
        Parameters(super::path::query(query.unwrap_or_default()))
    }

    /// The first value of a name, empty without it.
    pub fn get(&self, name: &str) -> &str {
        self.0.iter().find(|(n, _)| n == name).map_or("", |(_, value)| value)
    }

    /// All values of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, value)| value.as_str())
    }

    /// A truth; given without a value it is true, as anything that is not `false` or `0`.
    pub fn flag(&self, name: &str) -> Option<bool> {
        let value = self.0.iter().find(|(n, _)| n == name).map(|(_, value)| value.as_str())?;
        Some(!matches!(value.to_ascii_lowercase().as_str(), "false" | "0" | "f"))
    }

    fn number(&self, name: &str) -> Result<Option<i64>, ApiError> {
        match self.get(name) {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| {
                ApiError::bad_request(format!(
                    "strconv.ParseInt: parsing {}: invalid syntax",
                    k8s_types::field::quote(text)
                ))
            }),
        }
    }

    /// `dryRun`, of an options kind such as `CreateOptions`.
    pub fn dry_run(&self, kind: &str) -> Result<DryRun, ApiError> {
        let mut dry_run = DryRun::No;
        for value in self.all("dryRun").filter(|v| !v.is_empty()) {
            if value != "All" {
                let error = Error::not_supported(&Path::new("dryRun"), value, &["All"]);
                return Err(invalid(kind, error));
            }
            dry_run = DryRun::All;
        }
        Ok(dry_run)
    }

    /// `fieldValidation`
    pub fn validation(&self, kind: &str) -> Result<FieldValidation, ApiError> {
        match self.get("fieldValidation") {
            "" | "Warn" => Ok(FieldValidation::Warn),
            "Ignore" => Ok(FieldValidation::Ignore),
            "Strict" => Ok(FieldValidation::Strict),
            other => {
                let allowed = &["", "Ignore", "Strict", "Warn"];
                Err(invalid(kind, Error::not_supported(&Path::new("fieldValidation"), other, allowed)))
            }
        }
    }

    /// `fieldManager`, or else the client's name.
    pub fn manager(&self, kind: &str, user_agent: &str) -> Result<String, ApiError> {
        let given = self.get("fieldManager");
        let path = Path::new("fieldManager");
        if given.len() > 128 {
            return Err(invalid(kind, Error::too_long(&path, 128)));
        }
        if given.chars().any(char::is_control) {
            return Err(invalid(kind, Error::invalid(&path, given, "should only contain printable characters")));
        }
        if !given.is_empty() {
            return Ok(given.to_owned());
        }
        let name = user_agent.split('/').next().unwrap_or_default();
        let name: String = name.chars().filter(|c| !c.is_control()).take(128).collect();
        Ok(if name.is_empty() { "unknown".to_owned() } else { name })
    }

    /// Those of list and watch.
    pub fn list(&self, watch: bool) -> Result<ListParameters, ApiError> {
        let watch = watch || self.flag("watch").unwrap_or(false);
        let version = match self.get("resourceVersion") {
            "" => None,
            text => Some(text.parse::<u64>().map_err(|_| version_error(text))?),
        };
        let parameters = ListParameters {
            labels: self.get("labelSelector").to_owned(),
            fields: self.get("fieldSelector").to_owned(),
            watch,
            bookmarks: self.flag("allowWatchBookmarks").unwrap_or(false),
            version,
            version_match: match self.get("resourceVersionMatch") {
                "Exact" => VersionMatch::Exact,
                "NotOlderThan" => VersionMatch::NotOlderThan,
                _ => VersionMatch::Unsaid,
            },
            timeout: self.number("timeoutSeconds")?.and_then(|n| u64::try_from(n).ok()).filter(|n| *n > 0),
            limit: self.number("limit")?.and_then(|n| usize::try_from(n).ok()).unwrap_or(0),
            token: self.get("continue").to_owned(),
            initial_events: self.flag("sendInitialEvents"),
        };
        self.check_list(&parameters)?;
        Ok(parameters)
    }

    fn check_list(&self, list: &ListParameters) -> Result<(), ApiError> {
        let mut errors = Errors::new();
        let path = Path::new("resourceVersionMatch");
        let given = self.get("resourceVersionMatch");
        let continued = !list.token.is_empty() && !given.is_empty();
        if list.watch {
            if list.initial_events.is_some() && given != "NotOlderThan" {
                errors.push(Error::forbidden(
                    &path,
                    "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan",
                ));
            }
            if list.initial_events.is_none() && !given.is_empty() {
                let text = "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided";
                errors.push(Error::forbidden(&path, text));
            }
            if !matches!(given, "" | "NotOlderThan") {
                errors.push(Error::not_supported(&path, given, &["NotOlderThan"]));
            }
        } else {
            if !given.is_empty() && list.version.is_none() {
                let text = "resourceVersionMatch is forbidden unless resourceVersion is provided";
                errors.push(Error::forbidden(&path, text));
            }
            if !matches!(given, "" | "Exact" | "NotOlderThan") {
                errors.push(Error::not_supported(&path, given, &["Exact", "NotOlderThan", ""]));
            }
            if given == "Exact" && list.version == Some(0) {
                let text = "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"";
                errors.push(Error::forbidden(&path, text));
            }
            if list.initial_events.is_some() {
                let path = Path::new("sendInitialEvents");
                errors.push(Error::forbidden(&path, "sendInitialEvents is forbidden for list"));
            }
        }
        if continued {
            errors.push(Error::forbidden(&path, "resourceVersionMatch is forbidden when continue is provided"));
        }
        if !errors.is_empty() {
            return Err(ApiError::invalid(&GroupKind::new("meta.k8s.io", "ListOptions"), "", &errors));
        }
        if !list.token.is_empty() && list.version.is_some_and(|v| v != 0) {
            return Err(ApiError::bad_request("specifying resource version is not allowed when using continue"));
        }
        Ok(())
    }
}

/// Refuses a resourceVersion that is no number.
pub fn version_error(text: &str) -> ApiError {
    let mut errors = Errors::new();
    let detail = format!("strconv.ParseUint: parsing {}: invalid syntax", k8s_types::field::quote(text));
    errors.push(Error::invalid(&Path::new("resourceVersion"), text, detail.clone()));
    ApiError::bad_request(format!("resourceVersion: {errors}").replacen(
        "resourceVersion: resourceVersion",
        "resourceVersion",
        1,
    ))
}

fn invalid(kind: &str, error: Error) -> ApiError {
    let mut errors = Errors::new();
    errors.push(error);
    ApiError::invalid(&GroupKind::new("meta.k8s.io", kind), "", &errors)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(query: &str) -> String {
        match Parameters::parse(Some(query)).list(false) {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.message,
        }
    }

    #[test]
    fn list_parameters_that_contradict_each_other_are_refused() {
        for (query, want) in [
            ("", "ok"),
            ("resourceVersion=5&resourceVersionMatch=Exact&limit=3", "ok"),
            ("watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan", "ok"),
            (
                "resourceVersionMatch=Exact",
                "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided",
            ),
            (
                "resourceVersionMatch=Exact&resourceVersion=0",
                "ListOptions.meta.k8s.io \"\" is invalid: resourceVersionMatch: Forbidden: resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\"",
            ),
            ("continue=x&resourceVersion=3", "specifying resource version is not allowed when using continue"),
            (
                "sendInitialEvents=true",
                "ListOptions.meta.k8s.io \"\" is invalid: sendInitialEvents: Forbidden: sendInitialEvents is forbidden for list",
            ),
        ] {
            assert_eq!(list(query), want, "{query}");
        }
    }
}
