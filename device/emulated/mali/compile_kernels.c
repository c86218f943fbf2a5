/* Compiles files of OpenCL C with the device that the driver shows; nothing is run.
 *
 * compile_kernels OPTIONS FILE...: each file is a program, built with OPTIONS. Everything is told on
 * stderr, for the driver writes there, too, what its debugging variables ask for: before each
 * program a line "@program FILE", behind it "@built" or "@failed", the latter after the log. Before
 * all of them stands "@device NAME, DRIVER VERSION".
 */
#define CL_TARGET_OPENCL_VERSION 120

#include <CL/cl.h>
#include <stdio.h>
#include <stdlib.h>

static void *checked(void *memory) {
  if (memory == NULL) {
    fprintf(stderr, "@error out of memory\n");
    exit(1);
  }
  return memory;
}

static char *read_file(const char *path, size_t *size) {
  FILE *file = fopen(path, "rb");
  if (file == NULL || fseek(file, 0, SEEK_END) != 0) {
    fprintf(stderr, "@error cannot read %s\n", path);
    exit(1);
  }
  *size = (size_t)ftell(file);
  rewind(file);
  char *text = checked(malloc(*size + 1));
  if (fread(text, 1, *size, file) != *size) {
    fprintf(stderr, "@error cannot read %s\n", path);
    exit(1);
  }
  fclose(file);
  return text;
}

static void print_log(cl_program program, cl_device_id device) {
  size_t size = 0;
  clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size);
  char *log = checked(calloc(1, size + 1));
  clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, size, log, NULL);
  fprintf(stderr, "%s\n", log);
  free(log);
}

int main(int count, char **arguments) {
  cl_platform_id platform;
  cl_device_id device;
  cl_int status;
  if (count < 2 || clGetPlatformIDs(1, &platform, NULL) != CL_SUCCESS ||
      clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 1, &device, NULL) != CL_SUCCESS) {
    fprintf(stderr, "@error the driver shows no device\n");
    return 1;
  }
  char name[256] = "", version[256] = "";
  clGetDeviceInfo(device, CL_DEVICE_NAME, sizeof name, name, NULL);
  clGetDeviceInfo(device, CL_DRIVER_VERSION, sizeof version, version, NULL);
  fprintf(stderr, "@device %s, driver %s\n", name, version);
  cl_context context = clCreateContext(NULL, 1, &device, NULL, NULL, &status);
  if (status != CL_SUCCESS) {
    fprintf(stderr, "@error no context: %d\n", status);
    return 1;
  }
  for (int i = 2; i < count; ++i) {
    size_t size;
    char *text = read_file(arguments[i], &size);
    const char *source = text;
    fprintf(stderr, "@program %s\n", arguments[i]);
    cl_program program = clCreateProgramWithSource(context, 1, &source, &size, &status);
    status = clBuildProgram(program, 1, &device, arguments[1], NULL, NULL);
    if (status != CL_SUCCESS) {
      print_log(program, device);
    }
    fprintf(stderr, status == CL_SUCCESS ? "@built\n" : "@failed\n");
    clReleaseProgram(program);
    free(text);
  }
  return 0;
}
