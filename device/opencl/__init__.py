"""The device "opencl" of TVM, which the pip wheel lacks: C++ in `src/`, its build, its loading."""
