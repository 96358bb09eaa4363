import io.moquette.broker.Server;
import io.moquette.broker.config.IConfig;
import java.util.Properties;

/** The broker Moquette, which speaks MQTT 3.1.1 and 3.1 only, on a port of this machine. */
public class ServeMoquette {
    public static void main(String[] arguments) throws Exception {
        Properties settings = new Properties();
        settings.setProperty(IConfig.HOST_PROPERTY_NAME, "127.0.0.1");
        settings.setProperty(IConfig.PORT_PROPERTY_NAME, arguments[0]);
        settings.setProperty(IConfig.ALLOW_ANONYMOUS_PROPERTY_NAME, "true");
        settings.setProperty(IConfig.PERSISTENCE_ENABLED_PROPERTY_NAME, "false"); // nothing on the disk
        settings.setProperty(IConfig.ENABLE_TELEMETRY_NAME, "false"); // and nothing to its makers
        new Server().startServer(settings);
    }
}
