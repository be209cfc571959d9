//! The demo shop's word lists: what each theme sells and how a shop would write about it.
//!
//! Takes nothing; gives the tables as parsed structs through [`themes`], [`styles`], [`colours`]
//! and [`materials`]. Called by `generate.rs`, which decides what to sell to whom, and through it
//! by `text.rs`, which writes the titles and descriptions.
//!
//! The tables are text, one row a line, since a struct literal a row would bury the words. Fields
//! are split at ` ; `, the alternatives in a field at ` / `. Alternatives of a name are synonyms:
//! they mean the same to a customer, so that word overlap alone does not explain who wants what.
//! `[a|b]` inside a sentence is a free choice of wording.

use std::error::Error;

/// How a noun behaves in a sentence: "a mug", "mittens", "green tea".
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Number {
    One,
    Many,
    Mass,
}

/// A kind of product, such as a mug.
pub(crate) struct Kind {
    pub(crate) names: Vec<&'static str>,
    pub(crate) number: Number,
    /// Whether the theme's motifs make sense before the name ("gravel helmet").
    pub(crate) takes_motif: bool,
    /// Whether a picture from another theme may be printed on it ("robin-print apron").
    pub(crate) printable: bool,
    /// Whole currency units, lowest and highest.
    pub(crate) price: (u32, u32),
    /// Places in the table of [`materials`]; empty for what has neither material nor colour.
    pub(crate) materials: Vec<usize>,
    pub(crate) chinese: Vec<&'static str>,
    pub(crate) features: Vec<&'static str>,
    pub(crate) remarks: Vec<&'static str>,
}

/// Words with one meaning, the Chinese for it, and sentences that speak of it in other words.
pub(crate) struct Look {
    pub(crate) words: Vec<&'static str>,
    pub(crate) chinese: &'static str,
    pub(crate) lines: Vec<&'static str>,
}

/// A field of interest: what it sells and the occasions it is bought for.
pub(crate) struct Theme {
    pub(crate) category: &'static str,
    pub(crate) brands: Vec<&'static str>,
    pub(crate) scenes: Vec<&'static str>,
    pub(crate) chinese_scenes: Vec<&'static str>,
    pub(crate) prints: Vec<&'static str>,
    pub(crate) motifs: Vec<Look>,
    pub(crate) kinds: Vec<Kind>,
}

/// All themes, in a fixed order.
pub(crate) fn themes() -> Result<Vec<Theme>, Box<dyn Error>> {
    THEMES.iter().map(|table| theme(table)).collect()
}

/// The styles, each with its sentences.
pub(crate) fn styles() -> Result<Vec<Look>, Box<dyn Error>> {
    STYLES.trim().lines().map(look).collect()
}

/// The colours.
pub(crate) fn colours() -> Result<Vec<Look>, Box<dyn Error>> {
    COLOURS.trim().lines().map(look).collect()
}

/// The materials, in the order of their codes in the tables of kinds.
pub(crate) fn materials() -> Result<Vec<Look>, Box<dyn Error>> {
    MATERIALS.trim().lines().map(look).collect()
}

fn alternatives(field: &'static str) -> Vec<&'static str> {
    field.split(" / ").map(str::trim).collect()
}

fn fields<const N: usize>(row: &'static str) -> Result<[&'static str; N], Box<dyn Error>> {
    let parts: Vec<_> = row.split(" ; ").map(str::trim).collect();
    <[_; N]>::try_from(parts).map_err(|_| format!("expected {N} fields: {row}").into())
}

fn look(row: &'static str) -> Result<Look, Box<dyn Error>> {
    let [words, chinese, lines] = fields(row)?;
    Ok(Look { words: alternatives(words), chinese, lines: alternatives(lines) })
}

fn kind(row: &'static str) -> Result<Kind, Box<dyn Error>> {
    let [names, flags, price, codes, chinese, features, remarks] = fields(row)?;
    let (low, high) = price.split_once('-').ok_or_else(|| format!("no price range: {row}"))?;
    let materials = codes.split_whitespace().filter(|code| *code != "none").map(|code| {
        let place = MATERIAL_CODES.iter().position(|known| *known == code);
        place.ok_or_else(|| format!("unknown material {code}: {row}"))
    });
    let has = |flag: &str| flags.split_whitespace().any(|word| word == flag);
    let number = match (has("many"), has("mass")) {
        (true, _) => Number::Many,
        (_, true) => Number::Mass,
        _ => Number::One,
    };
    Ok(Kind {
        names: alternatives(names),
        number,
        takes_motif: has("motif"),
        printable: has("print"),
        price: (low.parse()?, high.parse()?),
        materials: materials.collect::<Result<_, _>>()?,
        chinese: alternatives(chinese),
        features: alternatives(features),
        remarks: alternatives(remarks),
    })
}

fn theme(table: &'static str) -> Result<Theme, Box<dyn Error>> {
    let rows = |tag: &'static str| table.lines().filter_map(move |line| line.strip_prefix(tag)?.strip_prefix(": "));
    let list = |tag| rows(tag).flat_map(alternatives).collect::<Vec<_>>();
    Ok(Theme {
        category: rows("category").next().ok_or("a theme without a category")?,
        brands: list("brand"),
        scenes: list("scene"),
        chinese_scenes: list("scene-zh"),
        prints: list("print"),
        motifs: rows("motif").map(look).collect::<Result<_, _>>()?,
        kinds: rows("kind").map(kind).collect::<Result<_, _>>()?,
    })
}

const STYLES: &str = "
minimalist / pared-back / understated / clean-lined ; 极简 ; Clean lines, nothing extra. / Quiet enough to go with everything you own. / We took away whatever did not earn its place.
retro / vintage-style / mid-century / seventies-inspired ; 复古 ; It could have come straight from a 1970s catalogue. / A nod to the shapes our grandparents grew up with. / Old-school charm, made to modern standards.
rustic / farmhouse / country-style / homespun ; 田园 ; Small irregularities are part of the charm. / Brings a bit of the countryside indoors. / Made to look better with every scratch.
playful / whimsical / cheerful / quirky ; 童趣 ; Guaranteed to raise a smile. / Because useful things are allowed to be silly. / A bright spot on a grey Monday.
botanical / leafy / fern-patterned / herbarium-style ; 植物风 ; Drawn from pressed ferns in an old herbarium. / Leaves and stems wander across the surface. / For people whose windowsills are already full of plants.
luxe / elegant / opulent / art-deco ; 轻奢 ; Comes in a magnetic gift box lined with tissue. / A small indulgence that lasts for years. / Polished by hand and finished with a gilded edge.
industrial / workshop-style / utilitarian / heavy-duty ; 工业风 ; Exposed rivets, honest joints, no fuss. / Built the way tools used to be built. / Tough enough for the garage and smart enough for the living room.
Nordic / Scandinavian / hygge / Danish-inspired ; 北欧 ; Warm, light and easy to live with. / Inspired by long winters and low afternoon sun. / Made for candlelight, wool socks and unhurried company.
";

const COLOURS: &str = "
navy / midnight-blue / indigo / cobalt ; 藏青色 ; The blue is [as deep as dusk|close to fresh ink]. / The colour of the sea at night.
sage / moss-green / olive / forest-green ; 鼠尾草绿 ; A green that [calms a room|reminds us of wet woods]. / Matches ferns, ivy and old garden gates.
terracotta / rust / brick-red / burnt-orange ; 陶土色 ; Warm as [sun-baked clay|old roof tiles]. / The shade leans towards paprika.
blush / dusty-pink / rose / salmon-pink ; 粉色 ; Pink, but a grown-up one. / Soft as the inside of a shell.
mustard / ochre / honey-yellow / saffron ; 芥末黄 ; Yellow enough to [cheer you up|wake up a corner] without shouting. / Looks like late sun on a wall.
oat / cream / ivory / off-white ; 米白色 ; A pale, natural shade that hides nothing and suits everyone. / Pale as porridge, and just as comforting.
charcoal / jet-black / graphite / slate ; 炭黑色 ; Dark, matte and [forgiving of fingerprints|hard to stain]. / Almost black, with a hint of blue.
lavender / plum / aubergine / heather ; 紫色 ; Purple in daylight and nearly grey in the evening. / The tone of hillsides in late August.
";

const MATERIAL_CODES: [&str; 12] =
    ["ceramic", "wood", "cotton", "wool", "metal", "glass", "paper", "leather", "cork", "cane", "plastic", "nylon"];

const MATERIALS: &str = "
stoneware / porcelain / earthenware / ceramic ; 陶瓷 ; Fired twice, so the glaze will not craze. / Thrown and glazed by a pottery of six people.
oak / beech / walnut / acacia-wood ; 实木 ; Oil the grain twice a year and it will outlive us. / Cut from timber with a certificate to prove it.
organic-cotton / linen / hemp-canvas / washed-cotton ; 棉麻 ; Softer after every wash. / The yarn is grown without pesticides and woven in Portugal.
merino / lambswool / felted-wool / alpaca ; 羊毛 ; Warm without the itch. / Air it instead of washing it.
stainless-steel / brass / aluminium / powder-coated-steel ; 金属 ; Will not rust, bend or sulk. / Develops a patina if you let it.
glass / borosilicate / hand-blown-glass / recycled-glass ; 玻璃 ; Tiny bubbles show that it was blown by mouth. / Clear, heavy and endlessly recyclable.
recycled-paper / kraft / cardboard / cotton-paper ; 再生纸 ; Made from waste paper with no bleach at all. / Pulped and pressed with wind power.
leather / vegetable-tanned-leather / suede / saddle-leather ; 皮革 ; Tanned with oak bark, so it darkens with use. / Smells like a good saddlery.
cork / pressed-cork / natural-cork / dark-cork ; 软木 ; Light in the hand and warm to the touch. / Peeled from the tree every nine years, so nothing is felled.
bamboo / rattan / willow / seagrass ; 竹编 ; A renewable crop that needs no replanting. / Woven by the same three families for decades.
recycled-plastic / bioplastic / plant-based-plastic / recycled-polycarbonate ; 环保塑料 ; Started life as drinks bottles. / Shrugs off knocks, juice and mud.
ripstop-nylon / recycled-nylon / recycled-polyester / microfibre ; 尼龙 ; Dries while you put the kettle on. / Used to be a fishing net.
";

const THEMES: [&str; 12] =
    [KITCHEN, GARDEN, SPACE, STATIONERY, TEA, CYCLING, YOGA, OFFICE, BAKING, PETS, TRAVEL, CANDLES];

const KITCHEN: &str = "
category: Kitchen
brand: Plainware / Halden & Moor / Studio Nøk / Table Nine
scene: for slow breakfasts / for kitchens with [little|no] room to spare / for a table that is always full / for everyday cooking / for people who cook from scratch
scene-zh: 适合慢悠悠的早餐时光 / 小厨房也放得下 / 每天做饭都用得上
print: lemon / olive branch / citrus slice
motif: ribbed / fluted / grooved ; 竖纹 ; Narrow ridges [give wet hands something to hold|catch the light]. / The fine lines are cut by hand.
motif: speckled / flecked / dappled ; 斑点 ; Iron in the glaze leaves freckles, [never twice the same|each time different]. / Spotted like a quail's egg.
motif: matte / unglazed / chalky ; 哑光 ; Dry and powdery to the touch. / No shine, no glare, just a surface like eggshell.
motif: stackable / nesting / space-saving ; 可叠放 ; [Piles up|Stacks] neatly when the cupboard is small. / One fits inside the next.
kind: mug / cup / beaker ; one motif print ; 9-32 ; ceramic glass metal ; 马克杯 / 杯子 ; a thumb-rest handle / a rim thin enough for coffee / a heavy base ; Holds [300|350|400] ml and goes in the dishwasher. / Big enough for a flat white, small enough to finish it hot.
kind: serving bowl / bowl / salad dish ; one motif print ; 14-58 ; ceramic wood glass ; 沙拉碗 / 大碗 ; a wide lip / a foot that keeps the table cool / room for a whole salad ; Goes from oven to table. / Made for sharing, or for one very hungry person.
kind: dinner plate / plate / coupe plate ; one motif print ; 11-36 ; ceramic ; 餐盘 / 盘子 ; a raised edge that keeps sauce where it belongs / a diameter of 27 cm ; Microwave and dishwasher safe. / Chips? Send us a photo and we replace it.
kind: chopping board / cutting board / carving block ; one ; 18-85 ; wood cork plastic ; 砧板 / 切菜板 ; a juice groove / a leather hanging loop / feet that do not slip ; Kind to [knives|blades] and handsome enough to serve cheese on. / Reversible: bread on one side, onions on the other.
kind: tea towel / kitchen cloth / dishcloth ; one print ; 7-19 ; cotton ; 茶巾 / 擦碗布 ; a loop for hanging / a waffle weave / a hem stitched twice ; Dries glasses without fluff. / Wrap a loaf in it and you have a present.
kind: apron / pinafore / cook's smock ; one print ; 22-64 ; cotton leather ; 围裙 ; cross-back straps / two deep pockets / ties long enough to knot in front ; One size that truly fits most. / Flour wipes off, tomato nearly always.
kind: jug / pitcher / carafe ; one motif ; 19-55 ; glass ceramic metal ; 水壶 / 玻璃壶 ; a spout that does not drip / a lid that doubles as a glass / a handle for large hands ; Holds a litre of water, or a bottle of something better. / Fits the fridge door.
kind: storage jar / canister / larder jar ; one motif ; 8-34 ; glass ceramic metal ; 储物罐 / 密封罐 ; an airtight lid / a chalk label / a wide mouth for scoops ; Keeps pasta, rice and oats fresh for months. / Lids are sold separately too, so nothing is thrown away.
kind: frying pan / skillet / sauté pan ; one ; 29-140 ; metal ; 平底锅 / 煎锅 ; a handle that stays cool / a pre-seasoned surface / a pouring lip on both sides ; Works on gas, induction and campfires. / Eggs slide; steaks sear.
kind: cutlery set / flatware set / set of knives and forks ; one ; 35-160 ; metal wood ; 餐具套装 ; sixteen pieces / balanced knives / rounded handles ; Service for four. / Heavier than it looks, in a good way.
";

const GARDEN: &str = "
category: Garden
brand: Hedgerow / Thistle & Spade / Wren Works / Potting Lane
scene: for balconies and [big|small] gardens alike / for the first warm weekend of the year / for gardeners who talk to their beans / for a hedge full of visitors / for mornings at the back door with binoculars
scene-zh: 阳台和小院都合适 / 吸引小鸟来做客 / 送给爱种花的朋友
print: robin / wren / goldfinch / bumblebee / wildflower
motif: robin / songbird / wild-bird ; 小鸟 ; [Finches|Tits and finches] find it within a day. / Feathered visitors welcome all winter. / Chirping guaranteed from dawn.
motif: bee-friendly / pollinator / butterfly ; 蜜蜂 ; Gives bumblebees and hoverflies a reason to stay. / Nectar lovers will thank you.
motif: wildflower / meadow / cottage-garden ; 野花 ; Think poppies, cornflowers and long grass. / Blossom from May until the first frost.
motif: kitchen-garden / vegetable-plot / allotment ; 菜园 ; Tomatoes, courgettes and beans by midsummer. / Grow what you eat.
kind: bird feeder / seed feeder / nut feeder ; one ; 12-48 ; metal wood glass plastic ; 喂鸟器 ; a squirrel-proof cage / perches for six / a roof that keeps seed dry ; Hang it where cats cannot reach. / Fill it once a week and enjoy the show. / Sparrows and siskins queue for it.
kind: nesting box / birdhouse / nest box ; one ; 18-62 ; wood cane ceramic ; 鸟屋 / 鸟巢箱 ; a 32 mm entrance for tits / a lid that lifts for cleaning / ventilation under the eaves ; Put it up by February and wait for the fledglings. / Faces north-east, please, out of the midday sun.
kind: bird bath / birdbath bowl / drinking dish for birds ; one ; 24-110 ; ceramic metal glass ; 鸟浴盆 ; shallow sides for small visitors / a frost-proof finish / a stake for the lawn ; Blackbirds splash; robins sip. / Change the water often and they will come daily.
kind: plant pot / planter / flowerpot ; one motif print ; 8-70 ; ceramic cane plastic metal ; 花盆 ; a drainage hole and saucer / a glazed inside / a rim that will not chip ; Roomy enough for herbs or a young olive. / Stays outside all winter.
kind: watering can / sprinkling can ; one print ; 16-66 ; metal plastic ; 洒水壶 ; a brass rose / a long spout for hanging baskets / a second handle ; Pours like gentle rain. / Carries five litres without splashing your boots.
kind: seed mix / seed collection / seed packet ; one motif ; 4-18 ; none ; 种子套装 ; twelve native species / sowing notes for every month / heirloom varieties ; Scatter, rake, water, wait. / Covers four square metres.
kind: hand trowel / garden trowel / planting spade ; one ; 11-42 ; metal wood ; 园艺铲 ; a forged blade / depth marks in centimetres / an ash handle ; Made for heavy clay. / Sharpen it once a year; keep it for life.
kind: gardening gloves / planting gloves ; many print ; 9-34 ; leather cotton ; 园艺手套 ; cuffs up to the elbow / reinforced fingertips ; Thorns stop here. / Supple enough to pick out seedlings.
kind: secateurs / pruning shears / garden snips ; many ; 18-79 ; metal ; 修枝剪 ; replaceable blades / a sap groove / a one-handed lock ; Cut clean so that roses heal fast. / Left-handers, these are for you too.
kind: bug hotel / insect house / bee lodge ; one ; 14-52 ; wood cane ; 昆虫旅馆 ; bamboo tubes of five sizes / a zinc roof / a slot for ladybirds ; Solitary bees move in from April. / Hang it in the sun at chest height.
";

const SPACE: &str = "
category: Kids
brand: Little Orbit / Moonbug / Tiny Cosmonauts / Play Foundry
scene: for future astronauts / for rainy afternoons / for bedtime questions about the stars / for ages [three|four|five] and up / for small explorers with big plans
scene-zh: 给未来的小宇航员 / 适合三岁以上的孩子 / 陪孩子探索宇宙
print: rocket / planet / astronaut / moon / spaceship
motif: rocket / spaceship / lunar-lander ; 火箭 ; Three, two, one, lift-off! / Ready for launch from any living-room carpet.
motif: planet / solar-system / orbit ; 行星 ; Saturn gets its rings and Pluto gets an invitation. / All eight worlds in the right order.
motif: astronaut / cosmonaut / moonwalker ; 宇航员 ; Helmet on, visor down, ready to explore. / One small step for a toddler.
motif: star / constellation / galaxy ; 星空 ; Glows softly for an hour after lights-out. / Find Orion first, then the Great Bear.
motif: robot / android / rover ; 机器人 ; Beep. Friendly machine seeks young engineer. / Rolls over craters and toast crumbs alike.
kind: picture puzzle / jigsaw / floor puzzle ; one motif ; 12-38 ; wood paper ; 拼图 ; [24|48|60] chunky pieces / a poster of the finished picture / a cotton storage bag ; Helps little hands learn about shapes. / Too easy? Turn it over for the hard side.
kind: building kit / construction set / model kit ; one motif ; 19-89 ; wood plastic metal paper ; 拼装模型 / 积木套装 ; more than a hundred parts / instructions without words / parts that click without glue ; Build it on Saturday, rebuild it on Sunday. / Grown-ups may assist if asked nicely.
kind: night light / bedside lamp / glow lamp ; one motif ; 18-59 ; plastic wood glass ; 小夜灯 ; a thirty-minute timer / a USB charging base / a dimmer that small fingers can turn ; Keeps monsters away, quietly. / Never gets warm to the touch.
kind: soft toy / plush / cuddly toy ; one motif ; 14-42 ; cotton wool ; 毛绒玩具 ; embroidered eyes / recycled stuffing / arms long enough to hug back ; Machine washable after rough missions. / Safe from birth.
kind: duvet cover / bedding set / quilt cover ; one motif ; 32-85 ; cotton ; 儿童被套 ; hidden buttons / a matching pillowcase / a different picture on the back ; Makes bedtime a destination. / Fits a single bed.
kind: backpack / school bag / rucksack for kids ; one motif ; 24-62 ; cotton nylon ; 儿童书包 ; reflective strips / a chest clip / a pocket for a lunch box ; Sits well on small shoulders. / Survives puddles and Mondays.
kind: sticker book / activity book / colouring book ; one motif ; 6-16 ; paper ; 贴纸书 ; two hundred reusable stickers / facts on every page / a fold-out map ; Peace and quiet for a whole train ride. / Written with a real astronomer.
kind: telescope / stargazing scope / spyglass ; one ; 34-149 ; metal plastic ; 儿童望远镜 ; a sturdy tripod / a map of the night sky / a lens that shows lunar craters ; Shows the moons of Jupiter on a clear night. / No tools needed, only darkness.
kind: costume / dress-up suit / flight suit ; one motif ; 26-68 ; cotton nylon ; 太空服装扮 ; a detachable helmet / badges to sew on / knees padded for crawling ; Pyjamas underneath, adventure on top. / Washes at thirty degrees.
";

const STATIONERY: &str = "
category: Stationery & Office
brand: Inkwell Sons / Paper Parade / The Letter Office / Quill Street
scene: for letters that deserve an answer / for list makers / for your next unfinished novel / for desks with character / for people who still own stamps
scene-zh: 适合写信和手账 / 送给爱写字的人 / 让书桌更有格调
print: typewriter / fountain pen / postage stamp
motif: letterpress / block-printed / hand-printed ; 活版印刷 ; You can feel the impression with your thumb. / Run off on a 1954 Heidelberg.
motif: dotted / dot-grid / bullet-journal ; 点阵 ; Five-millimetre spots guide the pen and then vanish. / Perfect for trackers, plans and doodles.
motif: marbled / swirled / ebru ; 大理石纹 ; Paint is floated on water, so each sheet is unique. / Eddies of colour like oil on a puddle.
motif: typewriter / typist's / carbon-copy ; 打字机 ; Clack, ding, return. / For those who miss the sound of keys.
kind: notebook / journal / exercise book ; one motif print ; 8-32 ; paper leather cotton ; 笔记本 / 日记本 ; pages that lie flat / a ribbon marker / 160 numbered pages ; Ink does not bleed through. / Slim enough for a coat pocket.
kind: fountain pen / ink pen / nib pen ; one ; 18-130 ; metal wood plastic ; 钢笔 ; an extra-fine nib / a piston filler / a cap that clicks ; Writes the moment it touches the page. / Comes with two cartridges and a converter.
kind: writing ink / bottled ink / drawing ink ; mass ; 9-28 ; none ; 墨水 ; a shade named after a sea / a squat bottle that will not tip ; Flows well and dries in seconds. / Shades from pale to dark in one stroke.
kind: letter set / writing paper set / notepaper set ; one motif print ; 11-34 ; paper ; 信纸套装 ; sheets of three sizes / gummed flaps / lined envelopes ; Answering machine of the nineteenth century. / Your grandmother will keep every page.
kind: wax seal kit / sealing wax set / letter seal ; one ; 16-44 ; metal wood ; 火漆印章 ; a stamp of your initial / four sticks of wax / a melting spoon ; Close an envelope like a duchess. / Flexible wax that survives the post.
kind: pencil case / pen roll / pen pouch ; one motif print ; 12-48 ; leather cotton cork ; 笔袋 ; loops for nine pens / a zip that never catches / a flap for erasers ; Rolls up to the size of a sandwich. / Graphite marks only make it better.
kind: desk calendar / wall planner / year planner ; one motif print ; 13-36 ; paper wood ; 台历 / 日程本 ; tear-off weeks / moon phases / space for birthdays ; Works for any year. / Sunday gets the same room as Monday.
kind: rubber stamp set / date stamper / library stamp ; one ; 10-39 ; wood metal ; 复古印章 ; an ink pad / years up to 2036 / a tin box ; Every parcel becomes official. / Thump. Approved.
kind: greeting cards / postcards / correspondence cards ; many motif print ; 6-22 ; paper ; 明信片 / 贺卡 ; matching envelopes / blank insides / rounded corners ; A box of eight. / Say it on card; texts are forgotten.
";

const TEA: &str = "
category: Food & Drink
brand: Camellia Row / Steep & Co. / Old Harbour Tea / 山月茶事
scene: for four o'clock / for rainy Sundays / for the second pot of the day / for guests who stay / for a quiet hour with a book
scene-zh: 适合安静的下午茶 / 与好友一起慢慢品 / 雨天配一本书
print: teapot / teacup / camellia
motif: Earl Grey / bergamot / breakfast ; 伯爵 ; Brisk and citrusy, and happy with a drop of milk. / The scent of a Sicilian orchard in a black brew.
motif: jasmine / white-flower / osmanthus ; 茉莉 ; Petals are laid over the leaves for five nights. / Fragrant as a garden after rain.
motif: smoky / lapsang / pine-fired ; 烟熏 ; Smells of campfires and old libraries. / Dried slowly over resinous wood.
motif: mint / herbal / caffeine-free ; 薄荷 ; Nothing to keep you awake. / Cool, green and good after supper.
motif: masala / chai / spiced ; 香料 ; Cardamom, ginger and a bite of pepper. / Simmer with milk and plenty of sugar.
motif: matcha / ceremonial-green / Uji ; 抹茶 ; Whisk until a fine foam appears. / Shaded for three weeks before picking, so it tastes of umami.
kind: loose-leaf tea / leaf tea / whole-leaf blend ; mass motif ; 6-34 ; none ; 散茶 / 茶叶 ; whole leaves from one estate / a resealable pouch / a long, sweet finish ; Three minutes at ninety degrees. / Good for at least two infusions. / A hundred grams, about forty cups.
kind: tea bags / pyramid bags / infusion sachets ; many motif ; 4-15 ; none ; 茶包 ; compostable mesh / twenty to the box / room for the leaf to open ; No staples, no strings, no plastic. / The office kettle deserves better, and so do you.
kind: teapot / brewing pot / tea kettle ; one print ; 24-120 ; ceramic glass metal ; 茶壶 ; a removable strainer / a spout that pours straight / a lid that stays on ; Serves four, or one thoroughly. / Keeps its heat through a whole chapter.
kind: teacup and saucer / tea bowl / yunomi ; one print ; 12-48 ; ceramic glass ; 茶杯 / 盖碗 ; a wide rim that lets the aroma out / walls thin enough to glow ; Light in the fingers. / Rinse only, soap spoils the next brew.
kind: tea infuser / strainer / tea egg ; one ; 7-26 ; metal ; 泡茶器 ; a drip tray / mesh fine enough for rooibos / a long handle ; Fits every cup we could find. / Tip, tap, rinse, done.
kind: tea caddy / tea tin / leaf canister ; one motif print ; 10-40 ; metal wood paper ; 茶叶罐 ; a double lid / room for 125 g / a scoop that hangs inside ; Keeps air and light away from the leaf. / Closes with a sigh.
kind: matcha whisk / bamboo whisk / chasen ; one ; 15-38 ; none ; 茶筅 ; eighty hand-split prongs / a holder that keeps its shape ; Soak before first use. / Froths in fifteen seconds, if your wrist is willing.
kind: tea advent box / tasting box / tea sampler ; one motif ; 16-49 ; none ; 茶礼盒 ; twelve small tins / tasting notes / a blend for each day ; A present that nobody has to dust. / Start mild and end bold.
kind: tea cosy / teapot cosy / pot warmer ; one print ; 14-36 ; wool cotton ; 茶壶保温套 ; a thick lining / a pompom / slits for spout and handle ; Buys you another half-hour of warmth. / Knitted by Margit, who is eighty-one.
";

const CYCLING: &str = "
category: Sports & Outdoors
brand: Spoke & Fell / Velo Nord / Chainring / Kilometre Zero
scene: for the daily commute / for long days in the saddle / for wet mornings / for riders who go [out anyway|whatever the forecast] / for the climb and the café after it
scene-zh: 适合每日通勤骑行 / 长途骑行也轻松 / 下雨天照样出发
print: bicycle / racing bike / bike chain
motif: commuter / city / urban ; 通勤 ; At home between trams, kerbs and office lobbies. / Gets you to the meeting unruffled.
motif: gravel / off-road / trail ; 越野 ; Where the tarmac ends the fun starts. / Mud, roots and loose stones included.
motif: touring / bikepacking / long-distance ; 长途 ; Tested on the way from Basel to Istanbul. / Packed panniers, no plan, good tyres.
motif: road / race-day / aero ; 公路竞速 ; Saves watts, or at least feels like it. / For pelotons, sprints and Sunday rivals.
kind: bike helmet / cycle helmet / riding helmet ; one motif ; 39-180 ; plastic ; 骑行头盔 ; fourteen vents / a magnetic buckle / a light built into the back ; Meets EN 1078 and weighs under 300 g. / Dial to fit, ponytail friendly.
kind: pannier / bike bag / saddlebag ; one motif ; 34-140 ; nylon leather cotton ; 驮包 / 自行车包 ; a roll-top closure / hooks that do not rattle / a shoulder strap ; Swallows a laptop and a loaf. / Waterproof to the point of smugness.
kind: bike light set / pair of cycle lamps / bicycle light kit ; one ; 22-95 ; metal plastic ; 自行车灯 ; USB-C charging / a beam that spares oncoming traffic / a daytime flash mode ; Seen from a kilometre away. / Forty hours from a single charge.
kind: cycling jersey / bike top / riding shirt ; one motif ; 39-120 ; wool nylon ; 骑行服 ; three back pockets / a silicone gripper hem / a full zip ; Cool on the way up and warm on the way down. / Doesn't smell, even on day three.
kind: riding gloves / cycling mitts / bike gloves ; many motif ; 18-65 ; leather wool nylon ; 骑行手套 ; gel palms / fingertips that work a phone / pull tabs ; Take the buzz out of rough roads. / Thumbs made for wiping noses.
kind: bike bell / handlebar bell / ding-dong bell ; one print ; 9-34 ; metal ; 车铃 ; a tone that carries / a strap mount for any bar ; Polite but clear. / Ding. Sorry. Thank you.
kind: multitool / repair kit / puncture kit ; one motif ; 14-58 ; metal ; 修车工具 ; a chain breaker / tyre levers / patches that truly stick ; Gets you home when the pub is shut. / Fits a jersey pocket.
kind: water bottle / bidon / bike flask ; one motif print ; 8-38 ; plastic metal ; 骑行水壶 ; a valve that opens with your teeth / measuring marks / an insulated wall ; Clips into every standard cage. / Tastes of water, not of bottle.
kind: bar tape / handlebar tape / handlebar wrap ; mass ; 12-44 ; cork leather plastic ; 车把带 ; expanding end plugs / a tacky finish ; New tape, new bike. / Wraps a drop bar with a little to spare.
";

const YOGA: &str = "
category: Sports & Outdoors
brand: Stillpoint / Asana Loft / Breathe Easy / Lotus Hall
scene: for early practice / for the studio and the living room / for stiff backs / for ten quiet minutes / for bodies of every age
scene-zh: 适合清晨练习 / 在家也能舒展身心 / 给自己十分钟的安静
print: lotus flower / sunrise / mandala
motif: restorative / yin / gentle ; 舒缓 ; Slow stretches, long exhales, nowhere to be. / Lets tired hips settle at last.
motif: hot-room / non-slip / sweat-proof ; 防滑 ; Grips better the damper it gets. / Warrior two stays put, however steamy the room.
motif: beginner's / starter / first-class ; 入门 ; New to downward dog? Start here. / No splits required.
motif: meditation / mindfulness / zen ; 冥想 ; Sit, close your eyes, count to ten. / Thoughts come, thoughts go.
kind: yoga mat / exercise mat / practice mat ; one motif print ; 24-120 ; cork cotton cane ; 瑜伽垫 ; alignment lines / a carrying strap / six millimetres of cushioning ; Rolls flat at once instead of curling. / Free of latex and that new-mat smell.
kind: yoga block / yoga brick / support block ; one ; 9-32 ; cork wood cane ; 瑜伽砖 ; bevelled edges / a grain that grips ; Brings the floor closer. / Best bought in pairs.
kind: bolster / support cushion / yoga pillow ; one motif print ; 28-86 ; cotton wool ; 瑜伽抱枕 ; a buckwheat filling / a washable cover / a side handle ; Lie back over it and let the ribs open. / Firm, but never hard.
kind: meditation cushion / zafu / sitting cushion ; one print ; 26-79 ; cotton wool ; 冥想坐垫 ; pleated sides / a zip for adjusting the filling ; Tilts the pelvis so that knees can drop. / Your ankles will notice first.
kind: yoga strap / stretching band / stretch belt ; one ; 7-24 ; cotton ; 伸展带 ; a D-ring buckle / ten loops ; For hamstrings that have never met their toes. / Soft on bare skin.
kind: leggings / yoga tights / stretch pants ; many motif ; 34-95 ; cotton nylon ; 瑜伽裤 ; a high waistband / a hidden key pocket / flat seams ; Stay opaque in a forward bend. / Move when you move.
kind: massage ball / trigger-point ball / muscle roller ; one ; 8-45 ; cork plastic wood ; 按摩球 / 泡沫轴 ; ridges for deep tissue / a size for desk-worn shoulders ; Hurts in the good way. / Five minutes a day, then tea.
kind: singing bowl / chime bowl / gong bowl ; one ; 25-115 ; metal glass ; 颂钵 ; a felt striker / a ring cushion / a note that lasts a minute ; Marks the start and the end. / Tuned by ear in Patan.
kind: eye pillow / relaxation mask / savasana pillow ; one print ; 12-34 ; cotton ; 眼枕 ; flaxseed and chamomile / a removable cover ; Warm it, chill it or just lie down. / Light out, shoulders down.
";

const OFFICE: &str = "
category: Stationery & Office
brand: Deskwright / North Desk / Form & Task / Quiet Hours
scene: for the spare-room office / for people on calls all day / for deep work / for desks that double as dinner tables / for your second-favourite chair
scene-zh: 适合居家办公 / 让桌面井井有条 / 久坐也舒服
print: 
motif: ergonomic / posture-friendly / back-saving ; 人体工学 ; Wrists straight, neck long, shoulders down. / Your physiotherapist will be out of work.
motif: silent / noise-damping / whisper-quiet ; 静音 ; Nobody on the call will hear a thing. / Felt underneath swallows every clatter.
motif: compact / slimline / small-desk ; 小巧 ; Takes up no more space than a paperback. / For flats where the office is a windowsill.
motif: modular / build-your-own / add-on ; 模块化 ; Start with one piece and extend it later. / Clicks together with hidden magnets.
kind: desk lamp / task light / reading lamp ; one motif ; 32-160 ; metal wood glass ; 台灯 ; stepless dimming / a joint that stays where you put it / a warm and a cold setting ; Bright enough for drawing, mild enough for midnight. / Flicker-free, so the camera likes it too.
kind: laptop stand / notebook riser / screen riser ; one motif ; 24-95 ; metal wood cork ; 笔记本支架 ; folding legs / a cable notch / rubber pads ; Lifts the screen to eye level. / Holds sixteen inches without a wobble.
kind: desk organiser / pen tray / desktop tidy ; one motif ; 14-62 ; wood metal leather cork ; 桌面收纳盒 ; five compartments / a slot for your phone / a drawer for secrets ; A place for the paper clips at last. / Clear desk, clear head.
kind: monitor shelf / screen shelf / desk shelf ; one motif ; 39-150 ; wood metal ; 显示器增高架 ; room for a keyboard below / rounded corners / a hook for headphones ; Tidies two screens and a mess. / Assembled in four minutes.
kind: desk mat / mouse mat / writing pad ; one ; 18-68 ; leather wool cork ; 桌垫 ; a stitched border / a non-slip back ; Warm under the wrists. / Spilled coffee beads and wipes away.
kind: footrest / foot hammock / under-desk rest ; one motif ; 22-74 ; wood plastic cane ; 脚踏 ; a rocking base / three heights ; Keeps the blood moving during long meetings. / Shoes off, productivity up.
kind: cable box / cord tidy / cable organiser ; one ; 8-38 ; wood plastic leather ; 理线盒 ; cut-outs on both ends / clips for six chargers ; Hides the power strip you never liked. / The dust has nowhere to go.
kind: seat cushion / chair pad / lumbar support ; one motif ; 26-84 ; cotton wool nylon ; 靠垫 / 坐垫 ; memory foam / an adjustable strap / a coccyx cut-out ; Turns a kitchen chair into a workplace. / Nine hours in, still friendly.
kind: wireless keyboard / Bluetooth keyboard / typing board ; one motif ; 45-170 ; metal plastic wood ; 无线键盘 ; hot-swappable switches / three paired devices / keycaps with round tops ; Charges twice a year. / A pleasure to answer mail on.
";

const BAKING: &str = "
category: Kitchen
brand: Crumb & Crust / Mill House / Sugar Loaf / Proof
scene: for Saturday bakers / for the school fête / for crusts that crackle / for birthdays [big and small|that matter] / for anyone with flour on their sleeves
scene-zh: 周末烘焙好帮手 / 做生日蛋糕正合适 / 新手也不会失败
print: croissant / cupcake / whisk
motif: sourdough / levain / artisan-loaf ; 酸面包 ; Feed your starter and clear the weekend. / Open crumb, blistered crust, deep tang.
motif: tiered / celebration / birthday ; 蛋糕 ; Sponge upon sponge, with buttercream between. / Candles not included, applause likely.
motif: cookie / biscuit / shortbread ; 饼干 ; Crisp at the edge, tender in the middle. / One batch never lasts until Monday.
motif: patisserie / tart / puff-pastry ; 法式酥点 ; Butter, patience and a cold work surface. / As thin and flaky as in Paris.
kind: baking tin / cake pan / bakeware tin ; one motif ; 11-48 ; metal ceramic glass ; 烤模 ; a loose base / sides that release with a click / a non-stick coating without PFAS ; Conducts heat evenly, corner to corner. / Nothing sticks, not even the first time.
kind: proving basket / banneton / dough basket ; one ; 12-36 ; cane wood ; 发酵篮 ; a cotton liner / spiral ridges ; Dust with rice flour and leave overnight. / Gives the loaf its rings.
kind: rolling pin / pastry roller ; one print ; 10-42 ; wood metal ceramic ; 擀面杖 ; thickness rings / tapered ends ; Rolls three millimetres without guesswork. / Heavy enough to do the work for you.
kind: cookie cutters / biscuit cutters / pastry stamps ; many ; 6-24 ; metal plastic wood ; 饼干模具 ; seven shapes / soft-grip tops / sharp, clean edges ; Dip in flour between cuts. / Stars, hearts and one hedgehog.
kind: mixing bowl / batter bowl / dough bowl ; one print ; 14-58 ; ceramic metal glass ; 搅拌碗 ; a pouring lip / a tilted base / measures inside ; Deep enough to stop the splashes. / Sits still while you whisk.
kind: bread flour / strong flour / stoneground flour ; mass ; 4-16 ; none ; 面粉 ; grain from a single farm / thirteen per cent protein ; Milled last week, not last year. / Makes about three loaves.
kind: baking mix / baking kit / bake-at-home box ; one motif ; 8-26 ; none ; 烘焙材料包 ; pre-weighed ingredients / a reusable piping bag / a recipe card ; Add eggs and butter, take the credit. / Ready in under an hour.
kind: kitchen scale / baker's scale / digital scale ; one ; 22-75 ; glass metal wood ; 厨房秤 ; steps of one gram / a pull-out display / a tare button ; Spoons lie; grams do not. / Runs for a year on one battery.
kind: cake stand / pedestal plate / display dome ; one print ; 24-92 ; ceramic glass wood ; 蛋糕架 ; a glass cloche / a turning top ; Raises a plain sponge to an event. / Keeps crumbs in and fingers out.
kind: bread knife / serrated knife / loaf knife ; one ; 12-78 ; metal wood ; 面包刀 ; a wavy edge / a curved handle / a cover for the drawer ; Slices hot crust without crushing it. / Resharpened free for ten years.
";

const PETS: &str = "
category: Pets
brand: Paws & Pottery / Whisker Lane / Good Hound / 喵喵研究所
scene: for spoiled companions / for naps in the sun / for muddy walks / for homes with more fur than floor / for the one who really owns the sofa
scene-zh: 主子一定喜欢 / 让毛孩子睡个好觉 / 散步玩耍都合适
print: cat / kitten / puppy / hound / rabbit
motif: cat / kitten / feline ; 猫咪 ; Whiskered testers purred at it for weeks. / Meow-approved, including by the fussy tabby. / Claws welcome.
motif: dog / puppy / canine ; 狗狗 ; Tails wagged in every trial. / From terrier to Great Dane, all good boys and girls. / Woof.
motif: rabbit / bunny / guinea-pig ; 兔子 ; Long-eared residents can nibble it safely. / Hop in, hop out.
motif: senior / older-pet / grey-muzzle ; 老年 ; Kind to stiff hips and slow mornings. / For companions with many birthdays behind them.
kind: bed / basket / sleeping cushion ; one motif ; 24-130 ; cotton wool cane ; 宠物窝 ; a raised rim for sleepy chins / a cover that unzips / a heat-reflecting core ; Washes at sixty degrees, hair and all. / Cosy enough to make you jealous.
kind: food bowl / feeding dish / dinner bowl ; one motif ; 9-46 ; ceramic metal cane ; 食盆 ; a tilted stand / a slow-feed maze / a rubber ring ; Stops the slide across the floor. / Dishwasher safe, lick-proof.
kind: collar / neckband ; one motif ; 11-52 ; leather cotton nylon ; 项圈 ; a quick-release clasp / an engraved name tag / a bell that slips off ; Measure the neck and add two fingers. / Reflects headlights at dusk.
kind: treats / snacks / reward biscuits ; many motif ; 3-16 ; none ; 宠物零食 ; a single protein / a grain-free recipe / ingredients you can pronounce ; Dried slowly at low heat. / A crunchy bribe for nail-clipping day.
kind: toy / play wand / chew toy ; one motif ; 5-28 ; cotton wool wood nylon ; 宠物玩具 ; a crinkly inside / a pocket for treats / a squeaker in the middle ; Chase, bite, repeat. / Replaced if destroyed within a month.
kind: grooming brush / fur comb / deshedding brush ; one motif ; 8-36 ; wood metal plastic ; 宠物梳子 ; rounded bristles / a button that ejects the fluff ; Removes the winter coat before your carpet does. / Gentle on thin skin.
kind: carrier / travel crate / transport bag ; one motif ; 34-140 ; cotton nylon cane ; 宠物外出包 ; mesh on three sides / a fleece mat / a seat-belt loop ; Makes the trip to the vet less dramatic. / Accepted as hand luggage by most airlines.
kind: scratching post / climbing tree / scratcher ; one ; 26-190 ; wood cane paper ; 猫抓板 / 猫爬架 ; a lookout platform / replaceable sisal / a weighted base ; Saves the sofa from feline manicures. / Sharpen, stretch, survey, sleep.
kind: lead / leash / walking lead ; one ; 12-58 ; leather cotton nylon ; 牵引绳 ; a padded loop / a swivel hook / a bag holder ; For hounds that pull and owners that follow. / Canine strolls in any weather.
";

const TRAVEL: &str = "
category: Travel & Bags
brand: Far & Fold / Gate 23 / Meridian / Atlas Lane
scene: for the 6 a.m. flight / for night trains / for three days with one bag / for people who [pack light|overpack] / for getting pleasantly lost
scene-zh: 说走就走的旅行 / 出差轻装上阵 / 三天两夜刚刚好
print: suitcase / aeroplane / world map
motif: carry-on / cabin / overhead-locker ; 登机 ; Slides into the overhead locker, even the mean ones. / No waiting at the baggage belt.
motif: packable / fold-flat / foldaway ; 可折叠 ; Shrinks to the size of an apple. / Stuff it into its own pocket and forget it.
motif: weekend / overnight / short-break ; 周末 ; Two shirts, one book, Friday evening. / Friday out, Sunday back.
motif: camping / backcountry / trekking ; 露营 ; Happy beside a tent and a stove. / Smells of pine needles by the second trip.
kind: backpack / rucksack / daypack ; one motif ; 45-190 ; cotton nylon leather ; 旅行背包 ; a clamshell opening / a hidden passport pocket / a padded hip belt ; Twenty-eight litres, somehow more. / Stands up by itself.
kind: holdall / duffel / travel bag ; one motif ; 48-240 ; leather cotton nylon ; 旅行袋 ; a shoe compartment / a trolley sleeve / handles that meet in the middle ; Gets more handsome with each stamp in your passport. / Room for souvenirs.
kind: packing cubes / luggage organisers / suitcase cubes ; many motif ; 16-54 ; nylon cotton ; 收纳袋 ; mesh tops / two-way zips / a laundry sack ; Find the socks without unpacking the lot. / Set of [three|four|five].
kind: toiletry bag / wash bag / dopp kit ; one print ; 18-72 ; leather cotton nylon ; 洗漱包 ; a hanging hook / a wipe-clean lining / a leak-proof pocket ; Opens wide on narrow hotel sinks. / Shampoo stays where it should.
kind: neck pillow / travel pillow / flight cushion ; one motif print ; 18-58 ; cotton wool nylon ; 颈枕 ; chin support / a cover you can wash / a snap fastener ; Row 34, middle seat, asleep. / Your head stops nodding.
kind: passport holder / passport wallet / document wallet ; one print ; 14-64 ; leather cork cotton ; 护照夹 ; an RFID lining / a slot for boarding passes / a tiny pen ; All your papers in one hand at the gate. / Ages well, unlike the photo inside.
kind: insulated flask / vacuum bottle / travel mug ; one motif print ; 19-52 ; metal ; 保温杯 ; a leak-proof lid / a handle for carabiners ; Coffee still hot at the border. / Twelve hours warm, twenty-four cold.
kind: travel adapter / plug adapter / world charger ; one ; 16-62 ; plastic ; 旅行转换插头 ; two USB-C ports / a spare fuse / sliding pins ; Works in 150 countries. / Small enough to lose, cheap enough to forgive.
kind: blanket / throw / travel shawl ; one motif print ; 32-125 ; wool cotton ; 旅行毯 ; a carrying strap / a fringed edge / snaps that turn it into a cape ; Airline blankets are a rumour; this is real. / Picnic rug by day.
kind: luggage tag / suitcase label / bag tag ; one print ; 6-26 ; leather metal plastic ; 行李牌 ; a privacy flap / a steel loop ; Spot yours among forty black cases. / Write the address in pencil, you may move.
";

const CANDLES: &str = "
category: Home
brand: Wick & Ember / Maison Fumée / Still Room / Tallow Lane
scene: for long baths / for rooms that face north / for evenings without screens / for the guest room / for calming down after the news
scene-zh: 适合泡澡放松 / 让房间充满香气 / 不看手机的夜晚
print: lavender sprig / fig / rosebud
motif: lavender / rose-petal / floral ; 花香 ; A field in Provence just before the harvest. / Opens with blossom and dries down to powder.
motif: cedar / sandalwood / woody ; 木质香 ; Pencil shavings, moss and a dry attic. / Resin, bark and a trace of smoke.
motif: citrus / grapefruit / neroli ; 柑橘 ; Zest first, sunshine after. / Sharp and bright as a peeled orange.
motif: vanilla / amber / tonka ; 香草 ; Warm custard with a grown-up edge. / Sweet, but never sticky.
motif: sea-salt / marine / driftwood ; 海洋 ; Salt wind, wet rope, clean sheets. / A beach in November, with nobody on it.
kind: scented candle / aroma candle / perfumed candle ; one motif ; 12-68 ; glass ceramic metal ; 香薰蜡烛 ; a cotton wick / fifty hours of burn time / a lid that snuffs the flame ; Soy and rapeseed wax, no paraffin. / Trim the wick and it will not soot.
kind: pillar candle / block candle ; one motif ; 7-29 ; none ; 柱形蜡烛 ; a straight, even burn / a rough-cast surface ; Burns for two evenings and a supper. / Stand it on a plate, not on the piano.
kind: taper candles / dinner candles / table candles ; many ; 8-26 ; none ; 长蜡烛 ; dripless wax / a twisted shape / fire-proof bases ; Dipped thirty times by hand. / Pack of [four|six|eight].
kind: reed diffuser / room diffuser / fragrance diffuser ; one motif ; 19-74 ; glass ceramic ; 无火香薰 / 藤条香薰 ; eight rattan reeds / a stopper for travelling ; Turn the sticks when the scent fades. / Lasts about three months.
kind: room spray / linen mist / pillow mist ; one motif ; 12-38 ; glass metal ; 室内喷雾 ; a fine nozzle / plant-based alcohol ; Two puffs on the curtains before guests arrive. / Leaves no stains.
kind: candle holder / candlestick / tealight holder ; one print ; 9-66 ; metal ceramic glass wood ; 烛台 ; a felted base / a cup that fits all tapers ; Throws soft shadows on the wall. / Looks lonely alone; take three.
kind: incense sticks / joss sticks / incense cones ; many motif ; 6-24 ; none ; 线香 ; a bamboo core / half an hour of scent ; Rolled by hand near Kyoto. / Open the window a little.
kind: essential oil / aroma oil / fragrance oil ; mass motif ; 8-32 ; none ; 精油 ; a drop-by-drop cap / a batch number you can trace ; Steam-distilled and nothing added. / Three drops in the diffuser are plenty.
kind: wick trimmer / snuffer / candle care kit ; one ; 11-42 ; metal ; 烛剪 / 灭烛器 ; angled blades / a long neck ; Ends a flame without the smoke. / Five millimetres is the secret.
kind: bath salts / bath crystals / bath pearls ; many motif ; 9-34 ; none ; 浴盐 ; minerals from the Dead Sea / oat milk for dry skin ; Run the tub warm rather than hot. / Forty minutes and a locked door.
";
