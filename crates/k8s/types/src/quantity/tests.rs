//! Texts, arithmetic and order as in Kubernetes.

use super::*;
use proptest::prelude::*;

fn parsed(text: &str) -> Quantity {
    Quantity::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn texts_become_canonical() {
    for (text, canonical) in [
        ("0", "0"),
        ("0Ki", "0"),
        ("000", "0"),
        ("100m", "100m"),
        ("1000m", "1"),
        ("1.5", "1500m"),
        ("0.5", "500m"),
        ("0.100", "100m"),
        ("1.5Gi", "1536Mi"),
        ("1024Mi", "1Gi"),
        ("1000Mi", "1000Mi"),
        ("1Ki", "1Ki"),
        ("512", "512"),
        ("1024", "1024"),
        ("0.5Ki", "512"),
        ("0.0005Ki", "512m"),
        ("1000", "1k"),
        ("10000k", "10M"),
        ("12e6", "12e6"),
        ("12E6", "12E6"),
        ("12000e3", "12e6"),
        ("1e3", "1e3"),
        ("100e-3", "100e-3"),
        ("-5Mi", "-5Mi"),
        ("+5", "+5"),
        ("1.001", "1.001"),
        ("1n", "1n"),
        ("0.1n", "1n"),
        ("0.0000000001", "1n"),
        ("-0.1n", "-1n"),
        ("1E", "1E"),
        ("1000E", "1000E"),
        ("8Ei", "9223372036854775807"),
        ("1.", "1."),
        (".5", "500m"),
        ("0.3333333333333333333333333333333333333333333333333", "333333334n"),
    ] {
        assert_eq!(parsed(text).to_string(), canonical, "{text}");
    }
}

#[test]
fn what_is_no_amount_is_refused_in_kubernetes_words() {
    for (text, error) in [
        ("", QuantityError::Format),
        ("1.2.3", QuantityError::Format),
        ("a", QuantityError::Format),
        ("1 Gi", QuantityError::Format),
        ("1Gib", QuantityError::Format),
        ("1mm", QuantityError::Suffix),
        ("1ki", QuantityError::Suffix),
        ("1e", QuantityError::Suffix),
        ("1K", QuantityError::Suffix),
        ("1e99999999999", QuantityError::Suffix),
    ] {
        assert_eq!(Quantity::parse(text), Err(error), "{text}");
    }
}

#[test]
fn arithmetic_is_exact_and_keeps_the_format() {
    let mut sum = Quantity::ZERO;
    for text in ["1Gi", "512Mi", "1"] {
        sum.add(&parsed(text));
    }
    assert_eq!(sum.to_string(), "1610612737");
    sum.sub(&parsed("1"));
    assert_eq!(sum.to_string(), "1536Mi");
    let mut cpu = parsed("250m");
    cpu.add(&parsed("2"));
    assert_eq!((cpu.to_string().as_str(), cpu.milli_value(), cpu.value()), ("2250m", 2250, 3));
    cpu.neg();
    assert_eq!((cpu.value(), cpu.sign()), (-3, -1));
    cpu.mul(-4);
    assert_eq!(cpu.to_string(), "9");
}

#[test]
fn order_is_that_of_the_numbers() {
    for (less, more) in
        [("1", "1001m"), ("1Ki", "1025"), ("-1", "0"), ("1e30", "1e31"), ("1n", "1e60"), ("-1e60", "-1n")]
    {
        assert!(parsed(less) < parsed(more), "{less} < {more}");
    }
    assert_eq!(parsed("1Ki"), parsed("1.024k"));
    assert_eq!(parsed("0"), parsed("0Gi"));
}

#[test]
fn values_are_bounded_by_64_bits() {
    assert_eq!(parsed("1e30").value(), i64::MAX);
    assert_eq!(parsed("-1e30").milli_value(), i64::MIN);
    assert!(parsed("2").is_exact(0) && !parsed("2001m").is_exact(0));
}

proptest! {
    #[test]
    fn canonical_text_is_the_same_amount(mantissa in any::<i64>(), suffix in "(n|u|m|k|M|G|T|P|Ki|Mi|e3|e-2)?") {
        let quantity = parsed(&format!("{mantissa}{suffix}"));
        let again = parsed(&Quantity { text: None, ..quantity.clone() }.to_string());
        prop_assert_eq!(&again, &quantity);
        prop_assert_eq!(Quantity { text: None, ..again.clone() }.to_string(), Quantity { text: None, ..quantity }.to_string());
    }

    #[test]
    fn what_is_added_can_be_subtracted(a in any::<i32>(), b in any::<i32>(), of in 0usize..4, with in 0usize..4) {
        let suffix = ["m", "", "Mi", "k"];
        let (a, b) = (parsed(&format!("{a}{}", suffix[of])), parsed(&format!("{b}{}", suffix[with])));
        let mut sum = a.clone();
        sum.add(&b);
        prop_assert_eq!(sum.cmp(&a), b.sign().cmp(&0));
        sum.sub(&b);
        prop_assert_eq!(sum, a);
    }

    #[test]
    fn no_text_panics(text in "[-+]?[0-9.]{0,45}[eEinumkKMGTP]{0,3}[-+]?[0-9]{0,9}|\\PC*") {
        if let Ok(quantity) = Quantity::parse(&text) {
            let _ = (quantity.to_string(), quantity.value(), quantity.milli_value(), quantity.to_f64());
            let mut sum = quantity.clone();
            sum.add(&quantity);
            sum.sub(&parsed("1n"));
            let _ = sum.to_string();
        }
    }
}
