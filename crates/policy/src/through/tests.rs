use super::table;

#[test]
fn the_tables_have_no_errors() {
    let (table, errors) = table::read(table::DATA);
    assert_eq!(errors, Vec::<String>::new());
    assert!(table.len() > 150, "{}", table.len());
}
