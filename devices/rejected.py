"""Why something could not become a reading: a value that is returned, never an exception."""

from enum import StrEnum
from typing import NamedTuple


class Reason(StrEnum):
    """One cause each. The text is what `city.quarantine.reason` and `extra.reasons` hold; it never changes."""

    UNKNOWN_DEVICE = "unknown_device"
    WRONG_AREA = "wrong_area"
    RETIRED_DEVICE = "retired_device"
    UNKNOWN_ROUTE = "unknown_route"

    EMPTY_PAYLOAD = "empty_payload"
    TOO_LARGE = "too_large"
    INVALID_UTF8 = "invalid_utf8"
    MALFORMED = "malformed"
    TOO_DEEP = "too_deep"
    WRONG_SHAPE = "wrong_shape"

    CODEC_ERROR = "codec_error"
    CODEC_TIMEOUT = "codec_timeout"
    CODEC_MEMORY = "codec_memory"
    CODEC_CRASH = "codec_crash"
    CODEC_PUT_ASIDE = "codec_put_aside"

    BAD_SEQ = "bad_seq"
    BAD_BOOT = "bad_boot"
    BAD_TIME = "bad_time"
    TIME_UNIT = "time_unit"
    CLOCK_NOT_SET = "clock_not_set"
    IN_FUTURE = "in_future"
    TOO_LATE = "too_late"

    NO_METRIC = "no_metric"
    OUT_OF_RANGE = "out_of_range"
    NOT_FINITE = "not_finite"
    WRONG_TYPE = "wrong_type"
    UNKNOWN_STATE = "unknown_state"
    NUL_CHARACTER = "nul_character"
    NOT_MEASURED = "not_measured"
    NO_READING = "no_reading"

    BEFORE_BIRTH = "before_birth"

    CONFLICT = "conflict"
    REFUSED_BY_DATABASE = "refused_by_database"


class Rejected(NamedTuple):
    """What was not accepted. `layer` is route, codec, profile, time, values or writer; `field` and `value` name the
    culprit where there is one (the value as it came, at most 200 characters); `detail` is a sentence for a person;
    `element`: the bytes of the one element of a list that was refused, None when it is the whole message."""

    layer: str
    reason: Reason
    field: str | None
    value: str | None
    detail: str
    element: bytes | None = None


MEANING: dict[Reason, dict[str, str]] = {
    Reason.UNKNOWN_DEVICE: {
        "en": "No device is enrolled under this id.",
        "vi": "Không có thiết bị nào được đăng ký với mã này.",
    },
    Reason.WRONG_AREA: {
        "en": "The device is enrolled in another area than the topic names.",
        "vi": "Thiết bị được đăng ký ở khu vực khác với khu vực ghi trong topic.",
    },
    Reason.RETIRED_DEVICE: {
        "en": "The device has been retired and still sends.",
        "vi": "Thiết bị đã ngừng sử dụng nhưng vẫn gửi dữ liệu.",
    },
    Reason.UNKNOWN_ROUTE: {
        "en": "No route or profile takes messages of this topic.",
        "vi": "Không có tuyến hay hồ sơ nào nhận bản tin của topic này.",
    },
    Reason.EMPTY_PAYLOAD: {
        "en": "The message has no content.",
        "vi": "Bản tin không có nội dung.",
    },
    Reason.TOO_LARGE: {
        "en": "The message is larger than 512 KiB.",
        "vi": "Bản tin lớn hơn 512 KiB.",
    },
    Reason.INVALID_UTF8: {
        "en": "The text is not UTF-8.",
        "vi": "Văn bản không phải UTF-8.",
    },
    Reason.MALFORMED: {
        "en": "The message cannot be read as its format (JSON, CBOR).",
        "vi": "Không đọc được bản tin theo định dạng của nó (JSON, CBOR).",
    },
    Reason.TOO_DEEP: {
        "en": "The message nests lists or objects too deeply.",
        "vi": "Bản tin lồng danh sách hoặc đối tượng quá sâu.",
    },
    Reason.WRONG_SHAPE: {
        "en": "The message can be read, but is not built as the profile expects.",
        "vi": "Đọc được bản tin nhưng cấu trúc không như hồ sơ mong đợi.",
    },
    Reason.CODEC_ERROR: {
        "en": "The vendor's codec reports an error or cannot be run.",
        "vi": "Bộ giải mã của hãng báo lỗi hoặc không chạy được.",
    },
    Reason.CODEC_TIMEOUT: {
        "en": "The vendor's codec did not finish in time.",
        "vi": "Bộ giải mã của hãng chạy quá thời gian cho phép.",
    },
    Reason.CODEC_MEMORY: {
        "en": "The vendor's codec used more memory than allowed.",
        "vi": "Bộ giải mã của hãng dùng quá bộ nhớ cho phép.",
    },
    Reason.CODEC_CRASH: {
        "en": "The process in which the vendor's codec runs ended unexpectedly.",
        "vi": "Tiến trình chạy bộ giải mã của hãng kết thúc bất ngờ.",
    },
    Reason.CODEC_PUT_ASIDE: {
        "en": "The vendor's codec failed too often and is put aside for a while.",
        "vi": "Bộ giải mã của hãng lỗi quá nhiều lần nên tạm ngừng sử dụng.",
    },
    Reason.BAD_SEQ: {
        "en": "The sequence number is not a whole number from 0 to 2^63-1.",
        "vi": "Số thứ tự không phải số nguyên từ 0 đến 2^63-1.",
    },
    Reason.BAD_BOOT: {
        "en": "The boot number is not a whole number from 0 to 2^63-1.",
        "vi": "Số lần khởi động không phải số nguyên từ 0 đến 2^63-1.",
    },
    Reason.BAD_TIME: {
        "en": "The time cannot be read as a time.",
        "vi": "Không đọc được thời gian.",
    },
    Reason.TIME_UNIT: {
        "en": "The time is in another unit than agreed (seconds, milliseconds, microseconds or nanoseconds).",
        "vi": "Thời gian dùng sai đơn vị (giây, mili giây, micro giây hoặc nano giây).",
    },
    Reason.CLOCK_NOT_SET: {
        "en": "The device's clock stands in 1970: it was never set.",
        "vi": "Đồng hồ của thiết bị đang ở năm 1970: chưa được chỉnh giờ.",
    },
    Reason.IN_FUTURE: {
        "en": "The time lies further in the future than allowed.",
        "vi": "Thời gian ở tương lai quá giới hạn cho phép.",
    },
    Reason.TOO_LATE: {
        "en": "The time lies before the late limit.",
        "vi": "Dữ liệu đến quá muộn so với giới hạn.",
    },
    Reason.NO_METRIC: {
        "en": "The message holds no metric of the family.",
        "vi": "Bản tin không chứa đại lượng nào của họ thiết bị.",
    },
    Reason.OUT_OF_RANGE: {
        "en": "The value lies outside the metric's legal range.",
        "vi": "Giá trị nằm ngoài khoảng hợp lệ của đại lượng.",
    },
    Reason.NOT_FINITE: {
        "en": "The value is not a finite number (NaN, Infinity, 1e400).",
        "vi": "Giá trị không phải số hữu hạn (NaN, Infinity, 1e400).",
    },
    Reason.WRONG_TYPE: {
        "en": "The value is of another type than the metric (text or true/false for a number).",
        "vi": "Giá trị sai kiểu dữ liệu (chữ hoặc đúng/sai thay cho số).",
    },
    Reason.UNKNOWN_STATE: {
        "en": "The metric has no state of this name.",
        "vi": "Đại lượng không có trạng thái nào mang tên này.",
    },
    Reason.NUL_CHARACTER: {
        "en": "The text holds a NUL character, which a database cannot store.",
        "vi": "Văn bản chứa ký tự NUL mà cơ sở dữ liệu không lưu được.",
    },
    Reason.BEFORE_BIRTH: {
        "en": "Sparkplug data came by alias while the birth that explains it is not known.",
        "vi": "Dữ liệu Sparkplug đến bằng alias khi chưa biết bản tin khai sinh (BIRTH) giải thích nó.",
    },
    Reason.NO_READING: {
        "en": "The message carries no reading by design: what a device says of itself, an answer to a question.",
        "vi": "Bản tin vốn không chứa số đo: thiết bị tự giới thiệu hoặc trả lời câu hỏi.",
    },
    Reason.NOT_MEASURED: {
        "en": "The device itself says that it did not measure: it is being calibrated, or it is faulty.",
        "vi": "Chính thiết bị báo không đo: đang hiệu chuẩn hoặc bị lỗi.",
    },
    Reason.CONFLICT: {
        "en": "A reading with the same device, time and number but other values is stored already.",
        "vi": "Đã lưu một bản ghi cùng thiết bị, thời gian và số thứ tự nhưng khác giá trị.",
    },
    Reason.REFUSED_BY_DATABASE: {
        "en": "The database refused this row.",
        "vi": "Cơ sở dữ liệu từ chối bản ghi này.",
    },
}
