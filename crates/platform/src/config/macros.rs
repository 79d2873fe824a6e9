/// Declares a section: every key with its documentation, type and default, the default written as it
/// would be in an environment variable.
macro_rules! section {
    ($(#[doc = $section_doc:literal])+ pub struct $section:ident in $name:literal {
        $( $(#[doc = $doc:literal])+ $key:ident: $type:ty = $default:expr, )+
    }) => {
        $(#[doc = $section_doc])+
        #[derive(Clone, Debug)]
        pub struct $section { $( $(#[doc = $doc])+ pub $key: $type, )+ }

        impl $section {
            const KEYS: &[KeyDoc] = &[$( KeyDoc {
                section: $name,
                key: stringify!($key),
                default: $default,
                doc: concat!($($doc),+),
            } ),+];

            fn read(reader: &mut Reader) -> Self {
                Self { $( $key: reader.setting($name, stringify!($key), $default), )+ }
            }
        }
    };
}
pub(super) use section;
