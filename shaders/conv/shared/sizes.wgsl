    // Fields with which the parameters of convolutions begin: maps that are read, those on the kernel's other side, and
    // how taps lie.
    height: u32,
    width: u32,
    channels4: u32,
    out_height: u32,
    out_width: u32,
    outputs4: u32,
    kernel_width: u32,
    stride: u32,
    padding: u32,
    dilation: u32,
