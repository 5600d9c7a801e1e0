//! Which cards there are. Nothing is opened to find out, and where there is no Vulkan loader the list is empty.

use burn_tensor::wgpu::wgpu::{self, Backends, DeviceType, Instance, InstanceDescriptor};

use super::{Adapter, Kind};

/// All cards that Vulkan offers, in its order.
pub(crate) fn adapters() -> Vec<Adapter> {
    let description =
        InstanceDescriptor { backends: Backends::VULKAN, ..InstanceDescriptor::new_without_display_handle() };
    let instance = Instance::new(description);
    let found: Vec<wgpu::AdapterInfo> = burn_tensor::read_sync(instance.enumerate_adapters(Backends::VULKAN))
        .iter()
        .map(wgpu::Adapter::get_info)
        .collect();
    let mut all: Vec<Adapter> = Vec::new();
    for info in found {
        let kind = match info.device_type {
            DeviceType::DiscreteGpu => Kind::Discrete,
            DeviceType::IntegratedGpu => Kind::Integrated,
            DeviceType::VirtualGpu => Kind::Virtual,
            DeviceType::Cpu => Kind::Software,
            // what Vulkan itself cannot name cannot be asked for either
            DeviceType::Other => continue,
        };
        let place = all.iter().filter(|adapter| adapter.kind == kind).count();
        // only one software renderer can be asked for
        if kind == Kind::Software && place > 0 {
            continue;
        }
        let driver = [info.driver, info.driver_info].join(" ").trim().to_owned();
        all.push(Adapter { number: all.len(), name: info.name, driver, kind, place });
    }
    all
}
