//! Generates the service without a `.proto` file, so that no protobuf compiler is needed.

use tonic_build::manual::{Builder, Method, Service};

fn main() {
    let events = Method::builder()
        .name("events")
        .route_name("Events")
        .input_type("crate::Subscribe")
        .output_type("crate::Event")
        .codec_path("tonic_prost::ProstCodec")
        .server_streaming()
        .build();
    let service = Service::builder().name("Feed").package("bench").method(events).build();
    Builder::new().compile(&[service]);
}
