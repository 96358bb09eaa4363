import com.alibaba.fastjson.JSON;
import com.alibaba.fastjson.JSONArray;
import com.alibaba.fastjson.JSONObject;
import com.fasterxml.jackson.annotation.JsonInclude;
import com.fasterxml.jackson.databind.DeserializationFeature;
import com.fasterxml.jackson.databind.ObjectMapper;
import io.netty.buffer.Unpooled;
import java.lang.reflect.Proxy;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.Arrays;
import java.util.Map;
import org.jetlinks.core.Values;
import org.jetlinks.core.config.ConfigKey;
import org.jetlinks.core.device.AuthenticationResponse;
import org.jetlinks.core.device.DeviceOperator;
import org.jetlinks.core.device.MqttAuthenticationRequest;
import org.jetlinks.core.message.ChildDeviceMessage;
import org.jetlinks.core.message.DeviceMessage;
import org.jetlinks.core.message.DeviceOfflineMessage;
import org.jetlinks.core.message.DeviceOnlineMessage;
import org.jetlinks.core.message.Message;
import org.jetlinks.core.message.codec.DefaultTransport;
import org.jetlinks.core.message.codec.EncodedMessage;
import org.jetlinks.core.message.codec.MessageDecodeContext;
import org.jetlinks.core.message.codec.MessageEncodeContext;
import org.jetlinks.core.message.codec.MqttMessage;
import org.jetlinks.core.message.codec.SimpleMqttMessage;
import org.jetlinks.core.message.event.EventMessage;
import org.jetlinks.core.message.function.FunctionInvokeMessage;
import org.jetlinks.core.message.function.FunctionInvokeMessageReply;
import org.jetlinks.core.message.property.ReadPropertyMessage;
import org.jetlinks.core.message.property.ReadPropertyMessageReply;
import org.jetlinks.core.message.property.ReportPropertyMessage;
import org.jetlinks.core.message.property.WritePropertyMessage;
import org.jetlinks.core.message.property.WritePropertyMessageReply;
import org.jetlinks.core.metadata.DeviceMetadata;
import org.jetlinks.core.metadata.EventMetadata;
import org.jetlinks.core.metadata.FunctionMetadata;
import org.jetlinks.core.metadata.PropertyMetadata;
import org.jetlinks.core.metadata.types.ObjectType;
import org.jetlinks.supports.official.JetLinksAuthenticator;
import org.jetlinks.supports.official.JetLinksDeviceMetadataCodec;
import org.jetlinks.supports.official.JetLinksMqttDeviceMessageCodec;
import reactor.core.publisher.Mono;

/**
 * Reads what the tests have written for JetLinks by its maker's own classes, and writes what the platform would send: a JSON
 * file in, a JSON object out. There are two ways to read and write a message. The official protocol takes the class that
 * belongs to the topic, and leaves the rest to Jackson; the codec of jetlinks-supports is older, and reads member by member.
 */
public class JetLinks {
    /** As the official protocol sets it up. */
    static final ObjectMapper MAPPER = new ObjectMapper()
            .configure(DeserializationFeature.FAIL_ON_UNKNOWN_PROPERTIES, false)
            .setSerializationInclusion(JsonInclude.Include.NON_NULL);

    static final JetLinksMqttDeviceMessageCodec CODEC = new JetLinksMqttDeviceMessageCodec();

    /** The classes of the official protocol by the ends of topics. */
    static final Map<String, Class<? extends DeviceMessage>> CLASSES = Map.of(
            "properties/report", ReportPropertyMessage.class,
            "properties/read/reply", ReadPropertyMessageReply.class,
            "properties/write/reply", WritePropertyMessageReply.class,
            "function/invoke/reply", FunctionInvokeMessageReply.class,
            "online", DeviceOnlineMessage.class,
            "offline", DeviceOfflineMessage.class);

    public static void main(String[] arguments) throws Exception {
        JSONObject in = JSON.parseObject(Files.readString(Path.of(arguments[0])));
        JSONObject out = new JSONObject(true);
        out.put("login", login(in.getJSONObject("login")));
        JSONArray read = new JSONArray();
        for (Object one : in.getJSONArray("messages")) {
            read.add(read((JSONObject) one));
        }
        out.put("messages", read);
        out.put("calls", calls(in.getString("product"), in.getString("gateway"), in.getString("device")));
        out.put("model", model(in.getString("model"), in.getJSONObject("samples")));
        System.out.println(out.toJSONString());
    }

    /** What the platform's authenticator says to a CONNECT. */
    static String login(JSONObject login) {
        DeviceOperator device = device(login.getString("clientId"), Map.of("secureId", login.get("secureId"), "secureKey", login.get("secureKey")));
        AuthenticationResponse response = new JetLinksAuthenticator().authenticate(new MqttAuthenticationRequest(
                login.getString("clientId"), login.getString("username"), login.getString("password"), DefaultTransport.MQTT), device).block();
        return response.isSuccess() ? "ok" : response.getMessage();
    }

    /** A device as the platform keeps it: an id, and settings by their names. */
    static DeviceOperator device(String id, Map<String, Object> settings) {
        return (DeviceOperator) Proxy.newProxyInstance(JetLinks.class.getClassLoader(), new Class<?>[] {DeviceOperator.class},
                (proxy, method, values) -> switch (method.getName()) {
                    case "getDeviceId" -> id;
                    case "getConfigs" -> Mono.just(Values.of(settings));
                    case "getConfig" -> Mono.just(settings.get(((ConfigKey<?>) values[0]).getKey()));
                    default -> throw new UnsupportedOperationException(method.getName());
                });
    }

    static JSONObject read(JSONObject message) throws Exception {
        String topic = message.getString("topic");
        byte[] payload = message.getString("payload").getBytes(StandardCharsets.UTF_8);
        String[] levels = topic.split("/");
        int first = levels.length > 4 && levels[3].equals("child") ? 5 : 3;
        String tail = String.join("/", Arrays.copyOfRange(levels, first, levels.length));
        JSONObject out = new JSONObject(true);
        Class<? extends DeviceMessage> type = tail.startsWith("event/") ? EventMessage.class : CLASSES.get(tail);
        out.put("official", type == null ? null : shown(MAPPER.readValue(payload, type)));
        if (tail.equals("online") || tail.equals("offline")) {
            return out; // the older codec has other words for them
        }
        Message of = CODEC.decode(new MessageDecodeContext() {
            @Override
            public EncodedMessage getMessage() {
                return SimpleMqttMessage.builder().topic(topic).payload(Unpooled.wrappedBuffer(payload)).build();
            }

            @Override
            public DeviceOperator getDevice() {
                return null;
            }
        }).block();
        if (of instanceof ChildDeviceMessage) {
            out.put("child", ((ChildDeviceMessage) of).getChildDeviceId());
            of = ((ChildDeviceMessage) of).getChildDeviceMessage();
        }
        out.put("codec", shown((DeviceMessage) of));
        return out;
    }

    /** The members of a message that the platform goes on with. */
    static JSONObject shown(DeviceMessage message) {
        JSONObject out = new JSONObject(true);
        out.put("type", message.getMessageType().name());
        out.put("id", message.getMessageId());
        out.put("time", message.getTimestamp());
        if (message instanceof ReportPropertyMessage) {
            out.put("values", ((ReportPropertyMessage) message).getProperties());
        } else if (message instanceof ReadPropertyMessageReply) {
            out.put("success", ((ReadPropertyMessageReply) message).isSuccess());
            out.put("code", ((ReadPropertyMessageReply) message).getCode());
            out.put("values", ((ReadPropertyMessageReply) message).getProperties());
        } else if (message instanceof WritePropertyMessageReply) {
            out.put("success", ((WritePropertyMessageReply) message).isSuccess());
            out.put("code", ((WritePropertyMessageReply) message).getCode());
        } else if (message instanceof FunctionInvokeMessageReply) {
            out.put("success", ((FunctionInvokeMessageReply) message).isSuccess());
            out.put("code", ((FunctionInvokeMessageReply) message).getCode());
            out.put("values", ((FunctionInvokeMessageReply) message).getOutput());
        } else if (message instanceof EventMessage) {
            out.put("values", ((EventMessage) message).getData());
        }
        return out;
    }

    /** The calls that the platform would send to a child: a read, a relay command and a write, each in both ways. */
    static JSONArray calls(String product, String gateway, String child) throws Exception {
        ReadPropertyMessage read = new ReadPropertyMessage();
        read.addProperties("voltage_a");
        FunctionInvokeMessage relay = new FunctionInvokeMessage();
        relay.functionId("relay").addInput("action", "trip");
        WritePropertyMessage write = new WritePropertyMessage();
        write.addProperty("relay", "open");
        JSONArray out = new JSONArray();
        for (DeviceMessage message : new DeviceMessage[] {read, relay, write}) {
            message.thingId("device", child);
            message.messageId("m" + out.size());
            ChildDeviceMessage whole = new ChildDeviceMessage();
            whole.setDeviceId(gateway);
            whole.setMessageId(message.getMessageId());
            whole.setChildDeviceId(child);
            whole.setChildDeviceMessage(message);
            MqttMessage encoded = CODEC.encode(new MessageEncodeContext() {
                @Override
                public Message getMessage() {
                    return whole;
                }

                @Override
                public DeviceOperator getDevice() {
                    return device(gateway, Map.of("productId", product));
                }
            }).block();
            String tail = message == read ? "properties/read" : message == relay ? "function/invoke" : "properties/write";
            out.add(Map.of("topic", encoded.getTopic(), "payload", encoded.getPayload().toString(StandardCharsets.UTF_8)));
            out.add(Map.of("topic", "/" + product + "/" + gateway + "/child/" + child + "/" + tail, "payload", MAPPER.writeValueAsString(message)));
        }
        return out;
    }

    /** What the platform makes of a model, and whether its types take the samples. */
    static JSONObject model(String text, JSONObject samples) {
        DeviceMetadata model = JetLinksDeviceMetadataCodec.getInstance().doDecode(text);
        JSONObject properties = new JSONObject(true);
        for (PropertyMetadata p : model.getProperties()) {
            properties.put(p.getId(), described(p, samples.get(p.getId())));
        }
        JSONObject events = new JSONObject(true);
        for (EventMetadata e : model.getEvents()) {
            JSONArray members = new JSONArray();
            for (PropertyMetadata p : ((ObjectType) e.getType()).getProperties()) {
                members.add(p.getId());
            }
            events.put(e.getId(), members);
        }
        JSONObject functions = new JSONObject(true);
        for (FunctionMetadata f : model.getFunctions()) {
            JSONObject inputs = new JSONObject(true);
            for (PropertyMetadata p : f.getInputs()) {
                inputs.put(p.getId(), described(p, samples.get(p.getId())));
            }
            functions.put(f.getId(), inputs);
        }
        JSONObject out = new JSONObject(true);
        out.put("properties", properties);
        out.put("events", events);
        out.put("functions", functions);
        return out;
    }

    static JSONObject described(PropertyMetadata p, Object sample) {
        JSONObject out = new JSONObject(true);
        out.put("name", p.getName());
        out.put("type", p.getValueType().getId());
        if (sample != null) {
            out.put("takes", p.getValueType().validate(sample).isSuccess());
            out.put("shows", String.valueOf(p.getValueType().format(sample)));
        }
        return out;
    }
}
