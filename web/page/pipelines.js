// Compiles pipelines side by side. WebGPU does so when asked for them asynchronously, which wgpu's browser backend
// cannot do.

/** What Rust holds of a pipeline that is being compiled. */
class Promised {}

/** Lets passes take what stands for a pipeline, from now on. */
function acceptPromised() {
  const choose = GPUComputePassEncoder.prototype.setPipeline;
  GPUComputePassEncoder.prototype.setPipeline = function (pipeline) {
    choose.call(this, pipeline instanceof Promised ? pipeline.real : pipeline);
  };
}

let accepting = false;

/** Does `work`, which must not run any pipeline that it creates, and returns its result once they are compiled. */
export async function together(work) {
  if (!accepting) acceptPromised();
  accepting = true;
  const create = GPUDevice.prototype.createComputePipeline;
  const all = [];
  GPUDevice.prototype.createComputePipeline = function (descriptor) {
    const promised = new Promised();
    const keep = (real) => (promised.real = real);
    // What cannot be compiled is asked for once more, so that the fault reaches the device as it always does.
    all.push(this.createComputePipelineAsync(descriptor).then(keep, () => keep(create.call(this, descriptor))));
    return promised;
  };
  try {
    return await work();
  } finally {
    GPUDevice.prototype.createComputePipeline = create;
    await Promise.all(all);
  }
}
