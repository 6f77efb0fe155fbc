//! What the metrics of an autoscaler propose together: the greatest number of any; no fewer than now while one of them cannot be had.

use k8s_openapi::api::autoscaling::v2::{
    ContainerResourceMetricStatus, MetricSpec, MetricStatus, MetricTarget, MetricValueStatus, ResourceMetricStatus,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_types::quantity::{self, Format};

use super::replicas::{Answer, Goal, Measure};

/// Why a metric gives no number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unavailable {
    pub reason: &'static str,
    pub message: String,
}

/// What all metrics say.
#[derive(Debug, Default)]
pub struct Proposal {
    /// Number and the metric that wants it.
    pub best: Option<(i64, String)>,
    pub statuses: Vec<MetricStatus>,
    pub failure: Option<Unavailable>,
}

impl Proposal {
    pub fn take(&mut self, metric: &MetricSpec, answer: Result<Answer, Unavailable>) {
        match answer {
            Ok(answer) => {
                if self.best.as_ref().is_none_or(|(most, _)| answer.replicas > *most) {
                    self.best = Some((answer.replicas, name(metric, &answer)));
                }
                self.statuses.push(status(metric, &answer));
            }
            Err(failure) => {
                self.failure.get_or_insert(failure);
            }
        }
    }

    /// The number to go on with; the failure where there is none.
    pub fn settle(&self, current: i64) -> Result<(i64, &str), &Unavailable> {
        match (&self.best, &self.failure) {
            (Some((number, name)), None) => Ok((*number, name)),
            (Some((number, name)), Some(_)) if *number > current => Ok((*number, name)),
            (_, Some(failure)) => Err(failure),
            (None, None) => Ok((current, "")),
        }
    }
}

/// What is to be measured for a metric; an error for those that nobody serves.
pub fn measure(metric: &MetricSpec) -> Result<Measure<'_>, Unavailable> {
    let unavailable = |reason, name: &str, kind: &str| {
        let message = format!(
            "unable to get {kind} metric {name}: unable to fetch metrics from {kind} metrics API: the server does not serve {kind} metrics"
        );
        Err(Unavailable { reason, message })
    };
    match metric {
        MetricSpec { resource: Some(resource), .. } => {
            Ok(Measure { resource: &resource.name, container: None, goal: goal(&resource.target)? })
        }
        MetricSpec { container_resource: Some(resource), .. } => Ok(Measure {
            resource: &resource.name,
            container: Some(&resource.container),
            goal: goal(&resource.target)?,
        }),
        MetricSpec { pods: Some(pods), .. } => unavailable("FailedGetPodsMetric", &pods.metric.name, "custom"),
        MetricSpec { object: Some(object), .. } => unavailable("FailedGetObjectMetric", &object.metric.name, "custom"),
        MetricSpec { external: Some(external), .. } => {
            unavailable("FailedGetExternalMetric", &external.metric.name, "external")
        }
        _ => Err(Unavailable {
            reason: "InvalidMetricSourceType",
            message: format!("unknown metric source type {:?}", metric.type_),
        }),
    }
}

fn goal(target: &MetricTarget) -> Result<Goal, Unavailable> {
    let milli = |amount: &Quantity| quantity::Quantity::parse(&amount.0).map_or(0, |amount| amount.milli_value());
    match (&target.average_utilization, &target.average_value) {
        (_, Some(amount)) => Ok(Goal::Average(milli(amount))),
        (Some(percent), None) => Ok(Goal::Utilization(i64::from(*percent))),
        (None, None) => {
            let message = "invalid resource metric source: neither a utilization target nor a value target was set";
            Err(Unavailable { reason: "FailedGetResourceMetric", message: message.to_owned() })
        }
    }
}

fn name(metric: &MetricSpec, answer: &Answer) -> String {
    let what = if answer.utilization.is_some() { "resource utilization (percentage of request)" } else { "resource" };
    let resource = metric.resource.as_ref().map(|resource| resource.name.as_str());
    let container = metric.container_resource.as_ref();
    match (resource, container) {
        (Some(resource), _) => format!("{resource} {what}"),
        (None, Some(of)) => format!("{} container {what}", of.name),
        (None, None) => String::new(),
    }
}

fn status(metric: &MetricSpec, answer: &Answer) -> MetricStatus {
    let amount = quantity::Quantity::from_milli(answer.average, Format::DecimalSi);
    let current = MetricValueStatus {
        average_utilization: answer.utilization.and_then(|percent| i32::try_from(percent).ok()),
        average_value: Some(Quantity(amount.to_string())),
        value: None,
    };
    let mut status = MetricStatus { type_: metric.type_.clone(), ..MetricStatus::default() };
    match (&metric.resource, &metric.container_resource) {
        (Some(resource), _) => {
            status.resource = Some(ResourceMetricStatus { name: resource.name.clone(), current });
        }
        (None, Some(of)) => {
            let (container, name) = (of.container.clone(), of.name.clone());
            status.container_resource = Some(ContainerResourceMetricStatus { container, name, current });
        }
        (None, None) => {}
    }
    status
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, from_value, json};

    fn metric(value: Value) -> MetricSpec {
        from_value(value).unwrap()
    }

    #[test]
    fn the_greatest_number_wins_and_nobody_goes_while_something_is_unknown() {
        let cpu = metric(
            json!({"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 50}}}),
        );
        let external = metric(
            json!({"type": "External", "external": {"metric": {"name": "queue"}, "target": {"type": "Value", "value": "1"}}}),
        );
        let mut proposal = Proposal::default();
        let answer = |replicas| Ok(Answer { replicas, utilization: Some(80), average: 400 });
        proposal.take(&cpu, answer(3));
        proposal.take(&cpu, answer(5));
        assert_eq!(proposal.settle(9), Ok((5, "cpu resource utilization (percentage of request)")));
        proposal.take(&external, measure(&external).map(|_| unreachable!()));
        assert_eq!(proposal.settle(9).unwrap_err().reason, "FailedGetExternalMetric");
        assert_eq!(proposal.settle(2).unwrap().0, 5);
        assert_eq!(
            proposal.statuses[0].resource.as_ref().unwrap().current.average_value,
            Some(Quantity("400m".into()))
        );
    }
}
