//! The driver: it compiles when a pipeline is created, and says what it made.
#![allow(unsafe_code)]

use crate::Result;
use crate::assembly::hottest_loop;
use crate::found::Made;
use ash::khr::pipeline_executable_properties as executable;
use ash::vk;
use std::collections::HashMap;
use std::ffi::CStr;

/// The first device of the first driver.
pub struct Device {
    _entry: ash::Entry,
    device: ash::Device,
    executables: executable::Device,
    /// Name and version of the driver.
    pub driver: String,
}

fn said(what: &str) -> impl Fn(vk::Result) -> String {
    move |error| format!("the driver has no {what}: {error}")
}

impl Device {
    /// Opens it with what the kernels ask for and with what reports on pipelines.
    pub fn open() -> Result<Self> {
        // SAFETY: plain calls on objects made here; what is made lives until the process ends.
        unsafe {
            let entry = ash::Entry::load().map_err(|error| format!("no Vulkan loader: {error}"))?;
            let app = vk::ApplicationInfo::default().api_version(vk::API_VERSION_1_3);
            let info = vk::InstanceCreateInfo::default().application_info(&app);
            let instance = entry.create_instance(&info, None).map_err(said("instance"))?;
            let devices = instance.enumerate_physical_devices().map_err(said("devices"))?;
            let physical = *devices.first().ok_or("the driver has no device")?;
            let mut version = vk::PhysicalDeviceDriverProperties::default();
            let mut properties = vk::PhysicalDeviceProperties2::default().push_next(&mut version);
            instance.get_physical_device_properties2(physical, &mut properties);
            let driver = CStr::from_ptr(version.driver_info.as_ptr()).to_string_lossy().into_owned();
            let queue = [vk::DeviceQueueCreateInfo::default().queue_family_index(0).queue_priorities(&[1.0])];
            let mut statistics = vk::PhysicalDevicePipelineExecutablePropertiesFeaturesKHR {
                pipeline_executable_info: vk::TRUE,
                ..Default::default()
            };
            let mut v12 = vk::PhysicalDeviceVulkan12Features::default().vulkan_memory_model(true);
            let extensions = [executable::NAME.as_ptr()];
            let info = vk::DeviceCreateInfo::default().queue_create_infos(&queue).enabled_extension_names(&extensions);
            let info = info.push_next(&mut statistics).push_next(&mut v12);
            let device = instance.create_device(physical, &info, None).map_err(said("device for computing"))?;
            let executables = executable::Device::new(&instance, &device);
            Ok(Self { _entry: entry, device, executables, driver })
        }
    }

    /// Creates a pipeline with a uniform and `bindings - 1` storage buffers, and reads what became of it.
    pub fn compile(&self, code: &[u32], bindings: u32) -> Result<Made> {
        let bindings: Vec<_> = (0..bindings)
            .map(|i| {
                let kind = if i == 0 { vk::DescriptorType::UNIFORM_BUFFER } else { vk::DescriptorType::STORAGE_BUFFER };
                let binding = vk::DescriptorSetLayoutBinding::default().binding(i).descriptor_type(kind);
                binding.descriptor_count(1).stage_flags(vk::ShaderStageFlags::COMPUTE)
            })
            .collect();
        // SAFETY: every object is made here and given back here, and the code was validated by naga.
        unsafe {
            let info = vk::ShaderModuleCreateInfo::default().code(code);
            let module = self.device.create_shader_module(&info, None).map_err(said("shader module"))?;
            let info = vk::DescriptorSetLayoutCreateInfo::default().bindings(&bindings);
            let set = [self.device.create_descriptor_set_layout(&info, None).map_err(said("bindings"))?];
            let info = vk::PipelineLayoutCreateInfo::default().set_layouts(&set);
            let layout = self.device.create_pipeline_layout(&info, None).map_err(said("pipeline layout"))?;
            let stage = vk::PipelineShaderStageCreateInfo::default().stage(vk::ShaderStageFlags::COMPUTE);
            let flags = vk::PipelineCreateFlags::CAPTURE_STATISTICS_KHR
                | vk::PipelineCreateFlags::CAPTURE_INTERNAL_REPRESENTATIONS_KHR;
            let info = vk::ComputePipelineCreateInfo::default().flags(flags).layout(layout);
            let info = [info.stage(stage.module(module).name(c"main"))];
            let made = self.device.create_compute_pipelines(vk::PipelineCache::null(), &info, None);
            let pipeline = made.map_err(|(_, error)| said("pipeline for it")(error))?[0];
            let read = self.read(pipeline);
            self.device.destroy_pipeline(pipeline, None);
            self.device.destroy_pipeline_layout(layout, None);
            self.device.destroy_descriptor_set_layout(set[0], None);
            self.device.destroy_shader_module(module, None);
            read
        }
    }

    /// # Safety
    /// The pipeline is of this device and was created to be read.
    unsafe fn read(&self, pipeline: vk::Pipeline) -> Result<Made> {
        let info = vk::PipelineExecutableInfoKHR::default().pipeline(pipeline).executable_index(0);
        // SAFETY: the sizes of the texts are asked for before memory of that size is given.
        unsafe {
            let statistics = self.executables.get_pipeline_executable_statistics(&info).map_err(said("statistics"))?;
            let name = |raw: &[std::ffi::c_char]| CStr::from_ptr(raw.as_ptr()).to_string_lossy().into_owned();
            let values: HashMap<String, u64> = statistics.iter().map(|s| (name(&s.name), s.value.u64)).collect();
            let texts = self.executables.get_pipeline_executable_internal_representations(&info);
            let mut texts = texts.map_err(said("assembly"))?;
            let mut bytes: Vec<Vec<u8>> = texts.iter().map(|text| vec![0; text.data_size]).collect();
            for (text, bytes) in texts.iter_mut().zip(&mut bytes) {
                text.p_data = bytes.as_mut_ptr().cast();
            }
            let mut count = texts.len() as u32;
            let read = self.executables.fp().get_pipeline_executable_internal_representations_khr;
            read(self.device.handle(), &info, &mut count, texts.as_mut_ptr()).result().map_err(said("assembly"))?;
            // The last text is the machine's.
            let assembly = bytes.last().map(|bytes| String::from_utf8_lossy(bytes)).unwrap_or_default();
            if let Some(file) = std::env::var_os("GPU_LAB_ASSEMBLY") {
                std::fs::write(file, assembly.as_bytes()).map_err(|error| error.to_string())?;
            }
            Ok(made(&values, &assembly))
        }
    }
}

fn made(values: &HashMap<String, u64>, assembly: &str) -> Made {
    let get = |names: [&str; 2]| names.iter().find_map(|name| values.get(*name)).copied();
    let registers = get(["VGPRs", "Number of GPRs"]).unwrap_or(0);
    // Ampere has 65,536 registers for 4 schedulers, given in steps of 8 a thread, and at most 12 subgroups on each.
    let fit = || (16_384 / 32 / registers.max(1).next_multiple_of(8)).min(12);
    let (fma, instructions) = hottest_loop(assembly).unwrap_or((0, 0));
    Made {
        registers,
        scratch: get(["Scratch size", "SLM Size"]).unwrap_or(0),
        shared: values.get("LDS size").copied(),
        code: get(["Code size", "Code Size"]).unwrap_or(0),
        subgroups: values.get("Subgroups per SIMD").copied().unwrap_or_else(fit),
        fma,
        instructions,
    }
}
