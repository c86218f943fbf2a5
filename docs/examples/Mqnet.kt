import java.io.File
import java.nio.ByteBuffer
import java.nio.ByteBuffer.allocateDirect

/** An opened network, for one thread at a time; mqnet_jni.c is its other half. */
class Mqnet(threads: Int = 1) : AutoCloseable {
    private val handle = open(threads)

    /** Computes a frame: RGB bytes of the size that was built for in, floats out. Both buffers are
     *  direct; the floats are in the order of the machine, which is `ByteOrder.nativeOrder()`. */
    fun run(image: ByteBuffer, light: ByteBuffer) = run(handle, image, light)

    override fun close() = close(handle)

    private external fun open(threads: Int): Long
    private external fun run(handle: Long, image: ByteBuffer, light: ByteBuffer)
    private external fun close(handle: Long)

    companion object {
        init { System.loadLibrary("mqnet_jni") }
    }
}

/** On a desktop: `java -Djava.library.path=. MqnetKt photo.rgb light.f32`. */
fun main(arguments: Array<String>) {
    val bytes = File(arguments[0]).readBytes()
    val image = allocateDirect(bytes.size).put(bytes)
    val light = allocateDirect(4 * bytes.size)
    Mqnet().use { it.run(image, light) }
    File(arguments[1]).outputStream().channel.use { it.write(light) }
}
