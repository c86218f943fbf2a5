// A frame through MQNet: raw RGB bytes of the size that was built for in, raw floats out.
//
//   c++ -std=c++17 -I BUILD frame.cpp BUILD/libmqnet.a -pthread -o frame
//   ./frame photo.rgb light.f32
#include <cstdint>
#include <fstream>
#include <iostream>
#include <stdexcept>

#include "mqnet.h"

class Network {
  public:
    explicit Network(uint32_t threads) {
        const mqnet_options options = {sizeof(mqnet_options), threads, 0, 0};
        check(mqnet_open(&options, &handle));
    }
    Network(const Network &) = delete;
    Network &operator=(const Network &) = delete;
    ~Network() { mqnet_close(handle); }

    void run(const mqnet_buffer &image, const mqnet_buffer &light) {
        check(mqnet_run(handle, &image, 1, &light, 1));
    }

  private:
    static void check(int status) {
        if (status != MQNET_OK) { throw std::runtime_error(mqnet_status_text(status)); }
    }
    mqnet_handle handle = 0;
};

// At a multiple of 64 bytes, tensors are not copied.
alignas(64) static char image[MQNET_INPUT_0_BYTES], light[MQNET_OUTPUT_0_BYTES];

int main(int argc, char **argv) try {
    if (argc != 3 || !std::ifstream(argv[1], std::ios::binary).read(image, sizeof image)) {
        throw std::runtime_error("give a file of RGB bytes, and one to write");
    }
    Network(1).run({image, sizeof image}, {light, sizeof light});
    std::ofstream(argv[2], std::ios::binary).write(light, sizeof light);
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 2;
}
