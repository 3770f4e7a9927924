#![allow(warnings)]
#[path = "slt.rs"]
mod slt;
#[test]
fn probe() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let text = std::fs::read_to_string("/tmp/q.sql").unwrap();
    for query in text.split(";\n") {
        let query = query.trim();
        if query.is_empty() { continue; }
        println!(">> {query}");
        let out = runtime.block_on(slt::probe(query));
        println!("{out}\n");
    }
}
